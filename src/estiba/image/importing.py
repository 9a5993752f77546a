"""An image of one layer from a tar of files, as `docker import` makes one."""

from __future__ import annotations

from estiba.image.assemble import commit_image
from estiba.image.unpack import unpack_layers
from estiba.layers.decompress import VerifiedStream
from estiba.oci import mediatypes
from estiba.oci.descriptor import Descriptor
from estiba.oci.image_config import History, ImageConfig, RunConfig
from estiba.oci.platform import Platform
from estiba.store.images import ImageRecord
from estiba.store.store import Store
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

_LARGEST = 1 << 40
_PIECE = 1 << 20


def import_tar(
    store: Store,
    stream: BinaryIO,
    *,
    platform: Platform,
    run: RunConfig = RunConfig(),  # noqa: B008 - an immutable value
    message: str = "",
    created: str = "1980-01-01T00:00:00Z",
) -> ImageRecord:
    """Take the tar in `stream` (plain, gzip or zstd) as the only layer of a new image.

    The bytes are kept as they are; the same tar gives the same image.

    Raises:
        InvalidInput, Corrupt: no tar, or one that no layer may be. Unavailable: no space.
    """
    with store.leases.hold("import an image"):
        with store.blobs.writer() as writer:
            while piece := stream.read(_PIECE):
                writer.write(piece)
            blob = writer.commit()
        with store.blobs.open(blob.digest) as file:
            content = VerifiedStream(file, limit=_LARGEST)
            for _ in content.pieces():
                pass
        layer = Descriptor(mediatypes.oci_layer(content.compression), blob.digest, blob.size)
        unpack_layers(store, [(content.diff_id, layer)])
        store.layer_blobs.add(content.diff_id, layer)
        history = History(created=created, comment=message or "imported from a tar")
        config = ImageConfig.make(
            platform=platform, run=run, diff_ids=(content.diff_id,), history=(history,), created=created
        )
        return commit_image(store, config)
