"""OCI image layouts, in a directory or in a tar (image-spec, image-layout.md)."""

from __future__ import annotations

from collections.abc import Iterator

from estiba.errors import NotFound, NotThereYet
from estiba.image.archive import source as sources
from estiba.image.archive.source import Source
from estiba.oci import manifest as manifests
from estiba.oci import mediatypes
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.oci.json_fields import Fields, Malformed, parse_object
from estiba.oci.manifest import Index, Manifest, parse_manifest
from estiba.oci.platform import Platform
from estiba.oci.reference import InvalidReference, Reference
from estiba.store.blobs.base import Check
from estiba.values import NamedTuple

MARKER = "oci-layout"
MARKER_CONTENT = b'{"imageLayoutVersion":"1.0.0"}'
INDEX = "index.json"
REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"
_ATTESTATION = "vnd.docker.reference.type"


class Found(NamedTuple):
    """One image of a layout: its manifest, and its name if the layout gives one that says more than a tag.

    `tag` is what the layout calls it, whatever that is; `entry` the digest that its index has, of an index perhaps.
    """

    descriptor: Descriptor
    name: Reference | None
    tag: str = ""
    entry: Digest | None = None


class NoSuchPlatform(NotFound):
    def __init__(self, where: str, wanted: Platform, there: tuple[str, ...]) -> None:
        super().__init__(f"{where} has no image for {wanted}, only for {', '.join(there) or 'none'}")


def blob_name(digest: Digest) -> str:
    """Where a blob lies in a layout."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def images(source: Source, *, platform: Platform) -> tuple[Found, ...]:
    """The images that the layout's index names. Raises NoSuchPlatform, Corrupt."""
    fields = Fields(parse_object(sources.read(source, MARKER, limit=4096), what=MARKER), what=MARKER)
    if (version := fields.text("imageLayoutVersion")) != "1.0.0":
        raise NotThereYet(f"{source.where} is an image layout of version {version}, Estiba reads 1.0.0")
    index = parse_manifest(sources.read(source, INDEX, limit=manifests.MAXIMUM_SIZE), media_type=mediatypes.OCI_INDEX)
    if not isinstance(index, Index):
        raise Malformed(f"{source.where}: {INDEX}", "mediaType", "it is not an index")
    top = [descriptor for descriptor in index.manifests if not _is_attestation(descriptor)]
    fitting = [descriptor for descriptor in top if _fits(descriptor, platform)]
    if top and not fitting:
        raise NoSuchPlatform(source.where, platform, tuple(str(descriptor.platform) for descriptor in top))
    return tuple(
        Found(_resolve(source, each, platform), _name(each), dict(each.annotations).get(REF_NAME, ""), each.digest)
        for each in fitting
    )


def index_json(images: tuple[tuple[Descriptor, tuple[Reference, ...]], ...]) -> bytes:
    """The index of a layout: an entry for each name of each image, or one without name."""
    return Index.make(tuple(_entries(images))).raw


def _entries(images: tuple[tuple[Descriptor, tuple[Reference, ...]], ...]) -> Iterator[Descriptor]:
    for descriptor, names in images:
        if not names:
            yield descriptor
        for name in names:
            annotations = ((IMAGE_NAME, str(name)), (REF_NAME, name.tag or str(name.digest)))
            yield descriptor._replace(annotations=annotations)


def _resolve(source: Source, descriptor: Descriptor, platform: Platform) -> Descriptor:
    """Down through indexes to the manifest for `platform`."""
    for _ in range(4):
        if descriptor.media_type in mediatypes.MANIFESTS:
            return descriptor
        if descriptor.media_type not in mediatypes.INDEXES:
            raise NotThereYet(f"{source.where}: {descriptor.digest} is {descriptor.media_type}, not an image")
        index = document(source, descriptor)
        if isinstance(index, Manifest):
            raise Malformed(str(descriptor.digest), "mediaType", "an index was promised, it is a manifest")
        there = [child for child in index.manifests if not _is_attestation(child)]
        fitting = [child for child in there if _fits(child, platform)]
        if not fitting:
            raise NoSuchPlatform(source.where, platform, tuple(str(child.platform) for child in there))
        descriptor = fitting[0]
    raise Malformed(str(descriptor.digest), "manifests", "indexes within indexes, more than four deep")


def document(source: Source, descriptor: Descriptor) -> Manifest | Index:
    """The manifest or index that `descriptor` means. Raises FileMissing, Corrupt."""
    return parse_manifest(verified(source, descriptor, limit=manifests.MAXIMUM_SIZE), media_type=descriptor.media_type)


def verified(source: Source, descriptor: Descriptor, *, limit: int) -> bytes:
    """The blob that `descriptor` means, checked against it. Raises FileMissing, Corrupt."""
    data = sources.read(source, blob_name(descriptor.digest), limit=limit)
    check = Check(descriptor.digest, descriptor.size)
    check.take(data)
    check.finish()
    return data


def _fits(descriptor: Descriptor, platform: Platform) -> bool:
    return descriptor.platform is None or platform.can_run(descriptor.platform)


def _is_attestation(descriptor: Descriptor) -> bool:
    return any(key == _ATTESTATION for key, _ in descriptor.annotations)


def _name(descriptor: Descriptor) -> Reference | None:
    """The full name of containerd's annotation, else OCI's where it is more than a bare tag."""
    annotations = dict(descriptor.annotations)
    full, short = annotations.get(IMAGE_NAME, ""), annotations.get(REF_NAME, "")
    text = full or (short if set(short) & set("/:") else "")
    try:
        return Reference.parse(text).tagged if text else None
    except InvalidReference:
        return None
