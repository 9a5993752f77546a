"""Removing a container: its files, its snapshot, its anonymous volumes, and at last its row.

Each step may be repeated, so a removal that was killed is finished by the next one.
"""

from __future__ import annotations

from estiba.engine.lifecycle import REMOVING
from estiba.engine.volumes import NoSuchVolume, VolumeInUse, Volumes, take_away
from estiba.errors import NotFound
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.paths import ContainerPaths
    from estiba.engine.records import Containers
    from estiba.store.store import Store


def snapshot_key(container_id: str) -> str:
    """The key of the active snapshot with a container's files."""
    return f"container/{container_id}"


def size_of_files(store: Store, container_id: str) -> int:
    """Bytes on disk of what a container has written; 0 once it is gone."""
    try:
        return store.snapshots.usage(snapshot_key(container_id)).size
    except NotFound:
        return 0


def holder(container_id: str) -> str:
    """The name under which a container's uses are registered."""
    return f"container/{container_id}"


def remove_container(
    store: Store,
    containers: Containers,
    volumes: Volumes,
    paths: ContainerPaths,
    *,
    anonymous_volumes: bool,
    keep: float = 0,
) -> None:
    """Remove everything of a container that has no process any more; its lock is held by the caller.

    With `anonymous_volumes` those of its volumes that have no name of their own go too, into the trash for `keep`
    seconds.
    """
    from estiba.store.snapshots.trees import remove_tree

    container_id = paths.container_id
    containers.set_state(container_id, REMOVING)
    record = containers.get(container_id)
    if record is not None and '"storage"' in record.options:
        from estiba.engine import storage_quota

        storage_quota.lift(store, snapshot_key(container_id))
    store.snapshots.remove(snapshot_key(container_id))
    remove_tree(paths.bundle)
    take_away(store, paths.directory)  # the lock goes with it
    mine = {name for name, _ in containers.volumes_of(container_id)} if anonymous_volumes else set()
    with store.database.transaction(durable=False):
        store.uses.release(holder(container_id))
        containers.remove(container_id, durable=False)
        # In the same breath: once the container is gone, nobody could tell its volumes from those that were kept.
        for name in sorted(mine):
            try:
                if volumes.get(name).is_anonymous:
                    volumes.remove(name, keep=keep)
            except (NoSuchVolume, VolumeInUse):
                pass  # another container took it over meanwhile
