"""Layers that a power cut may have damaged are unpacked again, from their blobs.

A layer whose blob is stored is not waited for until its tree is on the disk: blobs are synced, and verified again when
they are unpacked, so the tree can be made once more. Its snapshot is believed until the next boot, or until some later
commit has synced it. What is in doubt after a boot is restored here, before anything else looks at snapshots.
"""

from __future__ import annotations

from estiba.errors import Corrupt, EstibaError, InvalidInput, NotFound
from estiba.image.unpack import unpack_layers
from estiba.oci.digest import Digest
from estiba.store.store import Store


def restore(store: Store) -> None:
    """Unpack again what images need of the doubtful snapshots.

    What can never be made, because a blob is missing or damaged, is given up: the image lacks a layer then, as `fsck`
    tells, and a pull brings it. Steps of the build cache are given up too, and run again. What cannot be made now, for
    want of space or because a process was killed, stays in doubt, and the next command tries again.
    """
    doubtful = store.snapshots.doubtful()
    later: set[Digest] = set()
    with store.leases.hold("restore layers after a power cut"):
        store.snapshots.discard_doubtful()  # twice the space is not needed
        for image, content in store.images.contents().items():
            if not set(doubtful) & set(content.chain_ids):
                continue
            try:
                unpack_image(store, image)
            except (Corrupt, InvalidInput, NotFound):
                continue
            except EstibaError:
                later.update(content.chain_ids)
        store.snapshots.give_up(tuple(chain_id for chain_id in doubtful if chain_id not in later))


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
