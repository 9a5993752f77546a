"""The space that a pull takes, counted before a byte of a layer is fetched.

What travels is known to the byte. What a layer takes when it is unpacked is known where it is not compressed, and where
a layer with the same content is here on top of others; of a compressed one nobody says it before it has come.
"""

from __future__ import annotations

import os

from estiba.errors import Unavailable
from estiba.image.materialise import compression_of
from estiba.layers.compression import NONE
from estiba.oci.chain_id import chain_ids
from estiba.oci.image_config import ImageConfig
from estiba.oci.manifest import Manifest
from estiba.store.store import Store
from estiba.values import NamedTuple


class SpaceNeeded(NamedTuple):
    """In bytes: `fetched` is what has not come yet of the blobs, `unpacked` what their trees take as far as that is
    known, and `unknown` how many layers' trees are not.
    """

    fetched: int
    unpacked: int
    unknown: int

    @property
    def total(self) -> int:
        return self.fetched + self.unpacked

    def __str__(self) -> str:
        text = f"{_megabytes(self.fetched)} to fetch"
        if self.unpacked:
            text += f", {_megabytes(self.unpacked)} to unpack"
        if self.unknown:
            text += f", and what {self.unknown} compressed layer{'s' if self.unknown > 1 else ''} will be unpacked"
        return text


class NoSpaceFor(Unavailable):
    def __init__(self, directory: str, needed: SpaceNeeded, *, free: int) -> None:
        super().__init__(
            f"no space for the image: it needs {needed} ({needed.total} bytes at least), "
            f"the disk of {directory} has {free} bytes free",
            remedy="Free some: `estiba gc` removes what nothing needs, `estiba df` shows what takes how much.",
        )


def space_needed(store: Store, manifest: Manifest, config: ImageConfig) -> SpaceNeeded:
    """What the image's layers take beyond what is here."""
    sizes = {record.diff_id: record.size for record in store.snapshots.list() if record.diff_id is not None}
    fetched = unpacked = unknown = 0
    for layer in {layer.digest: layer for layer in manifest.layers}.values():
        if not store.blobs.has(layer.digest):
            fetched += layer.size - min(store.partials.received(layer.digest), layer.size)
    for layer, diff_id, chain_id in zip(manifest.layers, config.diff_ids, chain_ids(config.diff_ids), strict=True):
        if store.snapshots.has(chain_id):
            continue
        if diff_id in sizes:
            unpacked += sizes[diff_id]
        elif compression_of(layer) == NONE:
            unpacked += layer.size
        else:
            unknown += 1
    return SpaceNeeded(fetched, unpacked, unknown)


def check_space(store: Store, needed: SpaceNeeded) -> int:
    """The bytes that are free on the store's disk.

    Raises:
        NoSpaceFor: they are fewer than needed.
    """
    disk = os.statvfs(store.paths.tmp)
    free = disk.f_bavail * disk.f_frsize
    if needed.total > free:
        raise NoSpaceFor(store.paths.root, needed, free=free)
    return free


def space_line(needed: SpaceNeeded, *, free: int) -> str:
    """What is said before the pull."""
    return f"Space: {needed}; {_megabytes(free)} are free"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size} bytes"
