"""The front door for archives: whatever kind a file is, its images come in."""

from __future__ import annotations

from estiba.errors import InvalidInput, NotFound, NotThereYet
from estiba.image.archive import docker, oci
from estiba.image.archive import source as sources
from estiba.image.archive.intake import LayerFile, take_image
from estiba.image.archive.source import ArchiveSource, DirectorySource, Source
from estiba.image.archive.told import told
from estiba.image.materialise import compression_of
from estiba.image.progress import Progress
from estiba.layers import compression as compressions
from estiba.oci import image_config, mediatypes
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.oci.image_config import ImageConfig
from estiba.oci.json_fields import Malformed
from estiba.oci.manifest import Index
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.store.images import ImageRecord
from estiba.store.store import Store
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import BinaryIO


class Loaded(NamedTuple):
    """An image that was taken in, and the names that it has got."""

    record: ImageRecord
    names: tuple[Reference, ...]


def load(
    store: Store, stream: BinaryIO, *, where: str, platform: Platform, progress: Progress | None = None
) -> tuple[Loaded, ...]:
    """Take in every image of the archive in `stream` (Docker's or OCI's form, plain, gzip or zstd), which is closed.

    `where` is what to call it in messages. An image of several platforms gives the one that fits `platform`.

    Raises:
        InvalidInput: no archive of images. Corrupt: cut, damaged or hostile; nothing is recorded of that image.
        Unavailable: no space.
    """
    with ArchiveSource.open(stream, where, scratch=store.scratch) as source:
        return _load(store, told(source, progress), platform)


def load_layout(
    store: Store, directory: str, *, platform: Platform, progress: Progress | None = None
) -> tuple[Loaded, ...]:
    """The same for an OCI image layout in a directory."""
    with DirectorySource(directory) as source:
        return _load(store, told(source, progress), platform)


def load_from_layout(store: Store, directory: str, *, wanted: str, platform: Platform) -> ImageRecord:
    """Take in one image of an OCI image layout, and give it no name.

    `wanted` is its tag or digest; "" is ``latest``, or the only one that there is.

    Raises:
        NotFound: the layout has no such image. What `load` raises.
    """
    with DirectorySource(directory) as source, store.leases.hold(f"load {directory}"):
        found = oci.images(source, platform=platform)
        chosen = [
            each
            for each in found
            if (wanted or "latest")
            in (each.tag, each.name and each.name.tag, str(each.entry), str(each.descriptor.digest))
        ]
        if not chosen and not wanted and len(found) == 1:
            chosen = list(found)
        if not chosen:
            tags = ", ".join(each.tag or str(each.entry) for each in found)
            raise NotFound(f"the layout {directory} has no image {wanted or 'latest'}", remedy=f"There are: {tags}.")
        return _take_oci(store, source, chosen[0].descriptor, True)


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
            return _load_oci(store, source, platform, keeps_plain_layers=not is_docker)
        return _load_docker(store, source)


def _load_docker(store: Store, source: Source) -> tuple[Loaded, ...]:
    loaded = []
    for entry in docker.entries(source):
        config = ImageConfig.parse(sources.read(source, entry.config, limit=image_config.MAXIMUM_SIZE))
        layers = tuple(LayerFile(name) for name in entry.layers)
        record = take_image(store, source, config, layers, manifest=None)
        for name in entry.names:
            store.references.set(name, record.id)
        loaded.append(Loaded(record, entry.names))
    return tuple(loaded)


def _load_oci(store: Store, source: Source, platform: Platform, *, keeps_plain_layers: bool) -> tuple[Loaded, ...]:
    """A manifest is kept byte for byte; but not one whose layers are uncompressed where Docker wrote the archive, as it
    makes those for archives only.
    """
    loaded: dict[Digest, Loaded] = {}
    for found in oci.images(source, platform=platform):
        digest = found.descriptor.digest
        if digest not in loaded:
            loaded[digest] = Loaded(_take_oci(store, source, found.descriptor, keeps_plain_layers), ())
        if found.name is not None:
            record = loaded[digest].record
            store.references.set(found.name, record.id)
            loaded[digest] = Loaded(record, (*loaded[digest].names, found.name))
    return tuple(loaded.values())


def _take_oci(store: Store, source: Source, descriptor: Descriptor, keeps_plain_layers: bool) -> ImageRecord:
    manifest = oci.document(source, descriptor)
    if isinstance(manifest, Index):
        raise Malformed(str(descriptor.digest), "mediaType", "a manifest was promised, it is an index")
    if manifest.config.media_type not in mediatypes.CONFIGS:
        kind = manifest.config.media_type
        raise NotThereYet(f"{source.where}: {descriptor.digest} is an artifact ({kind}), not an image")
    raw = oci.verified(source, manifest.config, limit=image_config.MAXIMUM_SIZE)
    layers = tuple(LayerFile(oci.blob_name(layer.digest), layer) for layer in manifest.layers)
    is_plain = bool(layers) and all(compression_of(layer) == compressions.NONE for layer in manifest.layers)
    keeps = keeps_plain_layers or not is_plain
    return take_image(store, source, ImageConfig.parse(raw), layers, manifest=manifest if keeps else None)
