"""From an image whose layers are trees to one that can travel: compressed layers and a manifest, made once and kept."""

from __future__ import annotations

from collections.abc import Callable

from estiba.errors import Corrupt, NotFound
from estiba.layers import compression as compressions
from estiba.layers.pack import PackedLayer, compress_tar, pack
from estiba.layers.tar.writer import TarPolicy
from estiba.oci import manifest as manifests
from estiba.oci import mediatypes
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.oci.manifest import Manifest, parse_manifest
from estiba.store.blobs.base import BlobWriter
from estiba.store.images import ImageRecord
from estiba.store.store import Store

_COMPRESSIONS = {
    mediatypes.OCI_LAYER: compressions.NONE,
    mediatypes.DOCKER_LAYER: compressions.NONE,
    mediatypes.OCI_FOREIGN_LAYER: compressions.NONE,
    mediatypes.OCI_LAYER_GZIP: compressions.GZIP,
    mediatypes.DOCKER_LAYER_GZIP: compressions.GZIP,
    mediatypes.OCI_FOREIGN_LAYER_GZIP: compressions.GZIP,
    mediatypes.DOCKER_FOREIGN_LAYER: compressions.GZIP,
    mediatypes.OCI_LAYER_ZSTD: compressions.ZSTD,
    mediatypes.DOCKER_LAYER_ZSTD: compressions.ZSTD,
    mediatypes.OCI_FOREIGN_LAYER_ZSTD: compressions.ZSTD,
}


class LayerChanged(Corrupt):
    """The tree of a layer does not give the tar that the image's configuration names."""

    def __init__(self, image: Digest, position: int, *, expected: Digest, actual: Digest) -> None:
        super().__init__(
            f"layer {position} of image {image.short} is not what it was: expected {expected}, got {actual}",
            remedy="Its tree was changed on the disk, or its blob is gone. Build it with --no-cache, or pull it again.",
        )


class BlobsLost(Corrupt):
    """The exact layers that an image came with cannot be made here."""

    def __init__(self, image: Digest, manifest: Digest) -> None:
        super().__init__(
            f"image {image.short} came with manifest {manifest}, whose blobs are not here any more",
            remedy="Pull or load the image again.",
        )


def materialise(
    store: Store,
    image_id: Digest,
    *,
    compression: str = compressions.GZIP,
    on_layer: Callable[[Descriptor], None] = lambda _: None,
) -> Descriptor:
    """The manifest of the image; every blob that it names is stored when this returns.

    An image that came with a manifest, or has got one already, keeps it, whatever `compression` (``gzip``, ``zstd`` or
    ``none``) is. Else each layer is compressed unless a compressed form is known; the same image gives the same bytes
    on every machine. The blobs belong to the image from then on. `on_layer` gets each layer as soon as it is stored,
    lowest first, where layers are compressed now; what it raises ends the work.

    Raises:
        NotFound: no such image. LayerChanged: a tree was altered. Unavailable: no space.
        BlobsLost: it came with a manifest, and what that names is not here any more.
    """
    with store.leases.hold(f"compress image {image_id.short}"):
        record = store.images.get(image_id)
        if record is None:
            raise NotFound(f"no such image: {image_id}")
        manifest = existing_manifest(store, record)
        if manifest is None:
            manifest = _make(store, record, compression, on_layer)
            if record.manifest is not None and manifest.digest != record.manifest:
                raise BlobsLost(image_id, record.manifest)
            store.blobs.put(manifest.raw)
            store.images.add(record._replace(manifest=manifest.digest))
        return manifest.descriptor


def existing_manifest(store: Store, record: ImageRecord) -> Manifest | None:
    """The manifest that an image has, if it has one and all that it names is stored."""
    if record.manifest is None or not store.blobs.has(record.manifest):
        return None
    document = parse_manifest(store.blobs.read(record.manifest, limit=manifests.MAXIMUM_SIZE))
    if not isinstance(document, Manifest):
        return None
    needed = [layer for layer in document.layers if layer.media_type not in mediatypes.FOREIGN_LAYERS]
    return document if all(store.blobs.has(layer.digest) for layer in needed) else None


def manifest_of(store: Store, digest: Digest) -> Manifest:
    """The manifest `digest` of the store. Raises BlobNotFound, Corrupt."""
    document = parse_manifest(store.blobs.read(digest, limit=manifests.MAXIMUM_SIZE))
    assert isinstance(document, Manifest)
    return document


def compression_of(layer: Descriptor) -> str:
    """``gzip``, ``zstd`` or ``none``, by the media type."""
    return _COMPRESSIONS.get(layer.media_type, compressions.NONE)


def _make(store: Store, record: ImageRecord, compression: str, on_layer: Callable[[Descriptor], None]) -> Manifest:
    content = store.images.content(record.id)
    layers = []
    for position, (diff_id, chain_id) in enumerate(zip(content.diff_ids, content.chain_ids, strict=True), start=1):
        layers.append(_layer(store, record.id, position, diff_id, chain_id, compression))
        on_layer(layers[-1])
    config = Descriptor(mediatypes.OCI_CONFIG, record.id, store.blobs.size(record.id))
    return Manifest.make(config, tuple(layers))


def _layer(
    store: Store, image: Digest, position: int, diff_id: Digest, chain_id: Digest, compression: str
) -> Descriptor:
    known = store.layer_blobs.get(diff_id)
    usable = [form for form in known if compression_of(form) == compression]
    if not usable and compression != compressions.NONE:
        usable = [form for form in known if compression_of(form) != compressions.NONE]
    if usable:
        form = usable[0]
        return Descriptor(mediatypes.oci_layer(compression_of(form)), form.digest, form.size)
    with store.blobs.writer() as writer:
        packed = _compress(store, known, chain_id, writer, compression)
        if packed.diff_id != diff_id:
            raise LayerChanged(image, position, expected=diff_id, actual=packed.diff_id)
        blob = writer.commit()
    descriptor = Descriptor(mediatypes.oci_layer(compression), blob.digest, blob.size)
    store.layer_blobs.add(diff_id, descriptor)
    return descriptor


def _compress(
    store: Store, known: list[Descriptor], chain_id: Digest, writer: BlobWriter, compression: str
) -> PackedLayer:
    """From the tar that came, where it is kept, else from the tree."""
    if known:
        with store.blobs.open(known[0].digest) as tar:
            return compress_tar(tar, writer, compression=compression)
    # Times of a built layer were set when it was built, so that they are what its diff ID says.
    change = store.snapshots.change(chain_id)
    return pack(change.tree, writer, TarPolicy(), base=change.base, compression=compression)
