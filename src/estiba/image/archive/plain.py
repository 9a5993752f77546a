"""An image as an archive takes it: with the manifest that it has, else with what costs least to write.

Nothing is compressed for an archive. A layer goes in the compressed form that is known, else as the tar that it came
as, else as the tar of its tree, which is written into the archive without being stored.
"""

from __future__ import annotations

from estiba.errors import NotFound
from estiba.image.materialise import LayerChanged, compression_of, existing_manifest, manifest_of, materialise
from estiba.layers import compression as compressions
from estiba.layers.pack import pack, tar_size
from estiba.layers.tar.blocks import Writable
from estiba.layers.tar.writer import TarPolicy
from estiba.oci import mediatypes
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.oci.manifest import Manifest
from estiba.store.store import Store
from estiba.values import NamedTuple


class TreeLayer(NamedTuple):
    """A layer of which there is only a tree: layer `position` of `image`, the snapshot `chain_id`."""

    image: Digest
    position: int
    diff_id: Digest
    chain_id: Digest

    def write(self, store: Store, out: Writable) -> None:
        """Its tar. Raises LayerChanged: it is not what its diff ID says, when all has been written."""
        change = store.snapshots.change(self.chain_id)
        packed = pack(change.tree, out, TarPolicy(), base=change.base, compression=compressions.NONE)
        if packed.diff_id != self.diff_id:
            raise LayerChanged(self.image, self.position, expected=self.diff_id, actual=packed.diff_id)


class ForArchive(NamedTuple):
    """A manifest, which need not be stored, and those of its layers that are trees, by their blob's digest."""

    manifest: Manifest
    trees: dict[Digest, TreeLayer]


def for_archive(store: Store, image_id: Digest) -> ForArchive:
    """What an archive of the image holds; the same bytes each time, until the image gets a manifest of its own.

    Raises:
        NotFound: no such image. As `materialise` where it came with a manifest whose blobs are gone.
    """
    record = store.images.get(image_id)
    if record is None:
        raise NotFound(f"no such image: {image_id}")
    manifest = existing_manifest(store, record)
    if manifest is None and record.manifest is not None:
        manifest = manifest_of(store, materialise(store, image_id).digest)
    if manifest is not None:
        return ForArchive(manifest, {})
    content = store.images.content(image_id)
    trees: dict[Digest, TreeLayer] = {}
    layers = []
    for position, (diff_id, chain_id) in enumerate(zip(content.diff_ids, content.chain_ids, strict=True), start=1):
        known = sorted(store.layer_blobs.get(diff_id), key=lambda form: compression_of(form) == compressions.NONE)
        if known:
            kind = mediatypes.oci_layer(compression_of(known[0]))
            layers.append(Descriptor(kind, known[0].digest, known[0].size))
            continue
        change = store.snapshots.change(chain_id)
        layers.append(Descriptor(mediatypes.OCI_LAYER, diff_id, tar_size(change.tree, TarPolicy(), base=change.base)))
        trees[diff_id] = TreeLayer(image_id, position, diff_id, chain_id)
    config = Descriptor(mediatypes.OCI_CONFIG, image_id, store.blobs.size(image_id))
    return ForArchive(Manifest.make(config, tuple(layers)), trees)
