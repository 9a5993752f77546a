"""Mounts as values, and the functions that make and undo them.

`Mount` says what is to be mounted, in the words of mount(8); `mount` does it. Every target below a root is resolved by
`linux.paths`, so a symbolic link in a hostile tree leads nowhere else, and mounted through its descriptor, so that it
cannot be exchanged in between.
"""

from __future__ import annotations

import os

from estiba.linux.mountpoints import (
    MS_REC,
    MS_SLAVE,
    attach,
    clone_tree,
    is_mounted,
    mount_at,
    set_propagation,
    unmount,
)
from estiba.linux.namespaces import CLONE_NEWNS, unshare
from estiba.linux.paths import open_in_root
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Mount", "bind", "is_mounted", "make_private_namespace", "mount", "mount_all", "set_propagation", "unmount"]


class Mount(NamedTuple):
    """One mount: `source` of filesystem `type` on `target`, relative to the root it is applied on ("" is the root).

    `options` are those of mount(8): ``ro``, ``nosuid``, ``rbind``, ``rprivate``, and data of the filesystem such as
    ``lowerdir=…`` or ``size=64m``.
    """

    type: str
    source: str
    target: str = ""
    options: tuple[str, ...] = ()


def mount(mount: Mount, target: str) -> None:
    """Make `mount` below the directory `target`, whose path is trusted; `mount.target` inside it is not.

    Raises:
        OSError: as mount(2), naming the mount. Nothing is left half mounted.
    """
    inside = mount.target.strip("/")
    if not inside:
        mount_at(mount.type, mount.source, target, mount.options)
        return
    place = _open(target, inside)
    try:
        mount_at(
            mount.type,
            mount.source,
            f"/proc/self/fd/{place}",
            mount.options,
            reopen=lambda: _open(target, inside),
            name=os.path.join(target, inside),
        )
    finally:
        os.close(place)


def mount_all(mounts: Iterable[Mount], target: str) -> None:
    """Make every mount in order below `target`; when one fails, those made before are taken away again."""
    made: list[Mount] = []
    try:
        for one in mounts:
            mount(one, target)
            made.append(one)
    except OSError:
        for one in reversed(made):
            inside = one.target.strip("/")
            if not inside:
                unmount(target, detach=True)
                continue
            place = _open(target, inside)
            unmount(f"/proc/self/fd/{place}", detach=True, follow=True)
            os.close(place)
        raise


def bind(source: str, target: str, *, recursive: bool = False, read_only: bool = False) -> None:
    """Show `source` (trusted) at `target` (trusted) as well; read-only for the mount point when asked."""
    mount_at("", source, target, ("rbind" if recursive else "bind", *(("ro",) if read_only else ())))


def make_private_namespace(*, shared: Iterable[str] = ()) -> None:
    """Move this process into a mount namespace of its own: what is mounted here is not seen outside and dies with it.

    Mounts made outside later still arrive (rslave), so that an unmount outside is not held up by us. Only what is
    mounted below the directories `shared` is seen outside.
    """
    unshare(CLONE_NEWNS)
    trees = [(place, clone_tree(place, recursive=True)) for place in shared]
    set_propagation("/", MS_SLAVE | MS_REC)
    for place, tree in trees:
        attach(tree, place, what=f"share {place}")
        os.close(tree)


def _open(target: str, inside: str) -> int:
    root = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return open_in_root(root, inside, os.O_PATH)
    finally:
        os.close(root)
