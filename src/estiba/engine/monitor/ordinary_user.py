"""A container of an ordinary user: its root is that user.

With subordinate ids the whole command is root of a user namespace (`linux.user_namespace`), and the container stays in
that. Without them the runtime makes one with the user's own id alone; then the monitor may mount nothing, so the
container's files are a directory (the copying snapshotter's), and every file in it belongs to its root.
"""

from __future__ import annotations

import os

from estiba.errors import InvalidInput, Unavailable
from estiba.linux.namespaces import is_initial_user_namespace
from estiba.runtime.spec import IdMapping
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estiba.image.users import UserIds
    from estiba.linux.mounts import Mount

NEEDS_ROOT = "Use --network none, --network host, or run it as root."


def is_ordinary() -> bool:
    """Whether this process is neither root's nor root of a user namespace: it has one id to give."""
    return os.geteuid() != 0


def is_root_of_own_namespace() -> bool:
    """Whether this process is root of a user namespace that an ordinary user has made."""
    return os.geteuid() == 0 and not is_initial_user_namespace()


def mappings() -> tuple[tuple[IdMapping, ...], tuple[IdMapping, ...]]:
    """The users and groups of the container: its root is this user; nothing for root, who needs no user namespace."""
    if not is_ordinary():
        return (), ()
    return (IdMapping(0, os.geteuid(), 1),), (IdMapping(0, os.getegid(), 1),)


def plain_directory(mounts: Sequence[Mount], *, name: str) -> str:
    """The directory that `mounts` would only show elsewhere.

    Raises:
        Unavailable: they are more than that.
    """
    if len(mounts) == 1 and "bind" in mounts[0].options and "ro" not in mounts[0].options:
        return mounts[0].source
    raise Unavailable(
        f"the files of container {name} need a mount, which an ordinary user cannot make",
        remedy="Use another --root, which then has snapshots of the kind `copying`, or run it as root.",
    )


def check_user(user: UserIds, *, text: str) -> None:
    """Raise InvalidInput for another user than the container's root, where only that one is mapped."""
    if is_ordinary() and (user.uid or user.gid):
        raise InvalidInput(
            f"the user {text!r} ({user.uid}:{user.gid}) cannot be had: an ordinary user has one id to give, which is"
            " root in the container",
            remedy="Give --user 0, or run it as root.",
        )
