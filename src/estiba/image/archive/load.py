"""The front door for archives: whatever kind a file is, its images come in."""

from __future__ import annotations

from typing import BinaryIO

from estiba.errors import InvalidInput
from estiba.image.archive import docker, oci
from estiba.image.archive.docker import Loaded
from estiba.image.archive.source import ArchiveSource, DirectorySource, Source
from estiba.oci.platform import Platform
from estiba.store.store import Store


def load(store: Store, stream: BinaryIO, *, where: str, platform: Platform) -> tuple[Loaded, ...]:
    """Take in every image of the archive in `stream` (Docker's or OCI's form, plain, gzip or zstd), which is closed.

    `where` is what to call it in messages. An image of several platforms gives the one that fits `platform`.

    Raises:
        InvalidInput: no archive of images. Corrupt: cut, damaged or hostile; nothing is recorded of that image.
        Unavailable: no space.
    """
    with ArchiveSource.open(stream, where, scratch=store.scratch) as source:
        return _load(store, source, platform)


def load_layout(store: Store, directory: str, *, platform: Platform) -> tuple[Loaded, ...]:
    """The same for an OCI image layout in a directory."""
    with DirectorySource(directory) as source:
        return _load(store, source, platform)


def _load(store: Store, source: Source, platform: Platform) -> tuple[Loaded, ...]:
    is_docker = source.has(docker.MANIFEST)
    is_oci = source.has(oci.MARKER) and source.has(oci.INDEX)
    if not is_docker and not is_oci:
        raise InvalidInput(
            f"{source.where} is not an archive of images: it has neither {docker.MANIFEST} nor {oci.INDEX}",
            remedy="Archives are written by `estiba save`, `docker save`, `podman save`, skopeo and buildah.",
        )
    with store.leases.hold(f"load {source.where}"):
        if is_oci:
            return oci.load(store, source, platform=platform, keep_plain_layers=not is_docker)
        return docker.load(store, source)
