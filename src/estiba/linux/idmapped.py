"""Mounts that show other owners than the disk has (mount_setattr(2), MOUNT_ATTR_IDMAP; Linux 5.12).

The map is that of a user namespace: whoever is `container` on disk is `host` through the mount.
"""

from __future__ import annotations

import errno
import os

from estiba.errors import Unavailable
from estiba.linux import mountpoints
from estiba.linux.namespaces import CLONE_NEWNET, CLONE_NEWUSER, join, unshare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    Row = tuple[int, int, int]  # (container, host, size)
    Mappings = Sequence[Row]
    Found = TypeVar("Found")

_MOUNT_ATTR_IDMAP = 0x100000


def open_user_namespace(users: Mappings, groups: Mappings) -> int:
    """A descriptor of a new user namespace with these maps, which lives as long as the descriptor.

    The caller is single-threaded and small: it forks.

    Raises:
        OSError: the kernel refuses the namespace or a map.
    """
    return open_namespaces(users, groups, network=False)[0]


def open_namespaces(users: Mappings, groups: Mappings, *, network: bool) -> tuple[int, int]:
    """As `open_user_namespace`, with a network namespace that belongs to it; -1 in its place where none is wanted."""

    def write_maps(child: int) -> tuple[int, int]:
        for name, mappings in (("uid_map", users), ("gid_map", groups)):
            _write(f"/proc/{child}/{name}", "".join(f"{c} {h} {n}\n" for c, h, n in mappings))
        user = _open(child, "user")
        try:
            return user, _open(child, "net") if network else -1
        except OSError:
            os.close(user)
            raise

    return _beside(lambda: unshare(CLONE_NEWUSER | (CLONE_NEWNET if network else 0)), write_maps)


def look_into(user_namespace: int, *, network: bool) -> tuple[tuple[Row, ...], tuple[Row, ...], int]:
    """The users and groups of a namespace that exists, and a new network namespace that belongs to it (-1: none).

    The caller is single-threaded and small: it forks.

    Raises:
        OSError: the kernel refuses.
    """

    def enter() -> None:
        join(user_namespace, CLONE_NEWUSER)
        if network:
            unshare(CLONE_NEWNET)

    return _beside(
        enter,
        lambda child: (
            _rows(f"/proc/{child}/uid_map"),
            _rows(f"/proc/{child}/gid_map"),
            _open(child, "net") if network else -1,
        ),
    )


def _beside(act: Callable[[], None], look: Callable[[int], Found]) -> Found:
    """What `look` gives for the pid of a child that has done `act` and lives as long."""
    asking, answering = os.pipe()
    waiting, releasing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            act()
            os.close(releasing)
            os.write(answering, b"y")
            os.read(waiting, 1)
        except OSError as error:
            os.write(answering, bytes([error.errno or errno.EPERM]))
        finally:
            os._exit(0)
    os.close(answering)
    os.close(waiting)
    try:
        answer = os.read(asking, 1)
        if answer != b"y":
            number = answer[0] if answer else errno.EPERM
            raise OSError(number, f"create a user namespace: {os.strerror(number)}")
        return look(child)
    finally:
        os.close(asking)
        os.close(releasing)
        os.waitpid(child, 0)


def _open(pid: int, name: str) -> int:
    return os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)


def _rows(path: str) -> tuple[Row, ...]:
    with open(path, encoding="ascii") as file:
        rows = [line.split() for line in file]
    return tuple((int(row[0]), int(row[1]), int(row[2])) for row in rows)


def map_ids(tree: int, user_namespace: int, *, recursive: bool, what: str) -> None:
    """Let the detached mount `tree` show owners by the map of `user_namespace`.

    Raises:
        Unavailable: the filesystem cannot do that, or this user may not.
    """
    try:
        mountpoints.set_attributes(tree, _MOUNT_ATTR_IDMAP, 0, user_namespace=user_namespace, recursive=recursive)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise Unavailable(
                f"{what}: its filesystem cannot map ids", remedy="Leave the mappings out, or use ext4, xfs or btrfs."
            ) from None
        if error.errno == errno.EPERM:
            raise Unavailable(f"{what}: only the host's root may map its ids") from None
        raise


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise OSError(error.errno, f"the id map {text.strip()!r} was refused: {error.strerror}") from None
    finally:
        os.close(descriptor)
