"""Recording an image whose layers are snapshots already: a built one, a loaded one, a pulled one."""

from __future__ import annotations

from estiba.errors import Conflict
from estiba.oci.chain_id import chain_ids
from estiba.oci.digest import Digest
from estiba.oci.image_config import ImageConfig
from estiba.store.images import ImageRecord
from estiba.store.store import Store


class LayerMissing(Conflict):
    def __init__(self, image: Digest, chain_id: Digest, position: int, total: int) -> None:
        super().__init__(f"image {image}: layer {position} of {total} is not unpacked: there is no snapshot {chain_id}")


def commit_image(store: Store, config: ImageConfig, *, manifest: Digest | None = None) -> ImageRecord:
    """Store the configuration and record the image; no layer is compressed or copied.

    `manifest` is the manifest that came with it, stored already with its layers; a built image has none until somebody
    needs one (`materialise`). An image that is here already keeps what it has. The layers are synced to the disk before
    the record names them, unless all of them can be unpacked again from blobs (`restore`). The caller holds a lease and
    gives the image a name afterwards.

    Raises:
        LayerMissing: a layer's snapshot is not committed. Unavailable: no space.
    """
    size = 0
    for position, chain_id in enumerate(chain_ids(config.diff_ids), start=1):
        if not store.snapshots.has(chain_id):
            raise LayerMissing(config.image_id, chain_id, position, len(config.diff_ids))
        size += store.snapshots.get(chain_id).size
    if not all(store.layer_blobs.get(diff_id) for diff_id in config.diff_ids):
        store.snapshots.sync()
    image_id = store.blobs.put(config.raw)
    known = store.images.get(image_id)
    if known is not None and manifest in (None, known.manifest):
        return known
    record = ImageRecord(image_id, manifest, unix_seconds(config.created), size)
    store.images.add(record)
    return record


def unix_seconds(timestamp: str) -> int:
    """The second of an RFC 3339 time such as ``1980-01-01T00:00:00Z``; 0 where it is none, or empty."""
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp())
