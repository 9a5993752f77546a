"""Layers that a power cut may have damaged are unpacked again, from their blobs.

A layer whose blob is stored is not waited for until its tree is on the disk: blobs are synced, and verified again when
they are unpacked, so the tree can be made once more. Its snapshot is believed until the next boot, or until some later
commit has synced it. What is in doubt after a boot is restored here, before anything else looks at snapshots.
"""

from __future__ import annotations

from estiba.errors import EstibaError
from estiba.image.unpack import unpack_layers
from estiba.oci.digest import Digest
from estiba.store.store import Store


def restore(store: Store) -> None:
    """Unpack again what images need of the doubtful snapshots; afterwards none is in doubt.

    What cannot be made, because a blob is missing or damaged or there is no space, is given up: the image lacks a layer
    then, as `fsck` tells, and a pull brings it. Steps of the build cache are given up too, and run again.
    """
    doubtful = store.snapshots.doubtful()
    with store.leases.hold("restore layers after a power cut"):
        for image, content in store.images.contents().items():
            if not set(doubtful) & set(content.chain_ids):
                continue
            try:
                unpack_image(store, image)
            except EstibaError:
                continue
        store.snapshots.give_up(doubtful)


def unpack_image(store: Store, image: Digest) -> bool:
    """Unpack what is missing of an image from blobs that are here; False where one is not.

    Raises:
        as `unpack_layers`.
    """
    forms = [(diff_id, store.layer_blobs.get(diff_id)) for diff_id in store.images.content(image).diff_ids]
    if not all(known for _, known in forms):
        return False
    unpack_layers(store, [(diff_id, known[0]) for diff_id, known in forms])
    return True
