"""``--storage-opt size=``: how much a container's own files may take, kept by the filesystem that they lie on."""

from __future__ import annotations

import os

from estiba.engine.quantities import parse_size
from estiba.errors import Unavailable
from estiba.linux import project_quota
from estiba.linux.namespaces import has_root
from estiba.store.snapshots.base import NoSuchSnapshot
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.options import ContainerOptions
    from estiba.store.store import Store


def size_of(options: ContainerOptions) -> int:
    """The size in bytes, 0 for none."""
    text = dict(options.storage).get("size", "")
    return parse_size(text, what="size of --storage-opt") if text else 0


def check(store: Store) -> None:
    """Raise Unavailable where a size could not be kept."""
    if store.snapshots.kind != "overlay" or not has_root():
        raise Unavailable(
            "--storage-opt size= takes root, and layers that are stacked by the kernel", remedy="Leave it out."
        )
    project_quota.check(store.paths.root)


def limit(store: Store, key: str, size: int) -> None:
    """Keep what is written to the active snapshot `key` below `size` bytes from now on; nothing has been yet.

    Raises:
        Unavailable: the filesystem refused.
    """
    tree = store.snapshots.writable(key)
    # The overlay writes beside the tree first, and moves within one project alone.
    project_quota.limit([tree, f"{os.path.dirname(tree)}/work"], size)


def lift(store: Store, key: str) -> None:
    """Forget the limit of a snapshot that is to be removed."""
    try:
        project_quota.lift(store.snapshots.writable(key))
    except NoSuchSnapshot:
        pass
