"""Taking one image in from a source: its layers as blobs and snapshots, its configuration, its manifest, its record."""

from __future__ import annotations

from collections.abc import Iterator

from estiba.errors import Corrupt, NotThereYet
from estiba.image.archive.source import Source
from estiba.image.assemble import commit_image
from estiba.image.unpack import Unpacking
from estiba.layers import compression as compressions
from estiba.layers.decompress import VerifiedStream
from estiba.oci import mediatypes
from estiba.oci.chain_id import chain_ids
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.oci.image_config import ImageConfig
from estiba.oci.manifest import Manifest
from estiba.store.blobs.base import SizeMismatch
from estiba.store.images import ImageRecord
from estiba.store.store import Store
from estiba.values import NamedTuple

_LARGEST_LAYER = 1 << 40


class LayerFile(NamedTuple):
    """A layer in a source: the file's name, and what a manifest promises of it, None where there is none."""

    name: str
    promised: Descriptor | None = None


class NotTheLayer(Corrupt):
    def __init__(self, where: str, name: str, *, expected: Digest, actual: Digest) -> None:
        super().__init__(f"{where}: layer {name} has diff ID {actual}, the image's configuration names {expected}")


def take_image(
    store: Store, source: Source, config: ImageConfig, layers: tuple[LayerFile, ...], *, manifest: Manifest | None
) -> ImageRecord:
    """Store the image and record it; with `manifest` that one is kept with it, byte for byte.

    Nothing is recorded before every digest has been checked. The caller holds a lease.

    Raises:
        Corrupt: a missing file, another digest, another number of layers. Unavailable: no space.
    """
    if len(layers) != len(config.diff_ids):
        raise Corrupt(
            f"{source.where}: the configuration of image {config.image_id.short} names {len(config.diff_ids)} layers, "
            f"the archive has {len(layers)}"
        )
    if config.platform.os not in ("", "linux"):
        raise NotThereYet(f"{source.where}: image {config.image_id.short} is for {config.platform}, not for Linux")
    blobs = _take_layers(store, source, config, layers)
    with store.database.transaction():  # one wait for the disk
        for diff_id, blob in zip(config.diff_ids, blobs, strict=True):
            store.layer_blobs.add(diff_id, blob)
    if manifest is not None:
        store.blobs.put(config.raw)
        store.blobs.put(manifest.raw)
    return commit_image(store, config, manifest=manifest.digest if manifest else None)


def _take_layers(
    store: Store, source: Source, config: ImageConfig, layers: tuple[LayerFile, ...]
) -> tuple[Descriptor, ...]:
    """Every layer as a blob and a snapshot: one is unpacked while the next is stored."""
    blobs: list[Descriptor] = []
    with Unpacking(store, [(diff_id, None) for diff_id in config.diff_ids]) as unpacking:
        for index, (layer, diff_id) in enumerate(zip(layers, config.diff_ids, strict=True)):
            blob = _take_layer(store, source, layer, diff_id)
            blobs.append(blob)
            if index in unpacking.needed:
                with store.blobs.open(blob.digest) as file:
                    unpacking.start(index, file.fileno(), blob)
        _verify_known(store, source, config, layers, tuple(blobs))
        unpacking.finish()
    return tuple(blobs)


def _take_layer(store: Store, source: Source, layer: LayerFile, diff_id: Digest) -> Descriptor:
    """The layer's file as a blob, which is not copied if it is there."""
    promised = layer.promised
    if promised is None:
        known = store.layer_blobs.get(diff_id)
        if known:
            return known[0]
    elif store.blobs.has(promised.digest):
        if (size := store.blobs.size(promised.digest)) != promised.size:
            raise SizeMismatch(f"blob {promised.digest}", expected=promised.size, actual=size)
        return promised
    pieces = source.pieces(layer.name)
    first = next(pieces, b"")
    compression = compressions.detect(first)
    expected = promised.digest if promised else diff_id if compression == compressions.NONE else None
    with store.blobs.writer(expected=expected, size=promised.size if promised else None) as writer:
        writer.write(first)
        for piece in pieces:
            writer.write(piece)
        blob = writer.commit()
    return promised or Descriptor(mediatypes.oci_layer(compression), blob.digest, blob.size)


def _verify_known(
    store: Store, source: Source, config: ImageConfig, layers: tuple[LayerFile, ...], blobs: tuple[Descriptor, ...]
) -> None:
    """Check the blobs of layers that are unpacked already: unpacking checks only the others."""
    chains = chain_ids(config.diff_ids)
    for layer, diff_id, blob, chain_id in zip(layers, config.diff_ids, blobs, chains, strict=True):
        if not store.snapshots.has(chain_id) or store.layer_blobs.diff_id_of(blob.digest) == diff_id:
            continue
        with store.blobs.open(blob.digest) as file:
            stream = VerifiedStream(file, limit=_LARGEST_LAYER)
            _drain(stream.pieces())
        if stream.diff_id != diff_id:
            raise NotTheLayer(source.where, layer.name, expected=diff_id, actual=stream.diff_id)


def _drain(pieces: Iterator[bytes]) -> None:
    for _ in pieces:
        pass
