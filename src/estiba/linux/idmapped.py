"""Mounts that show other owners than the disk has (mount_setattr(2), MOUNT_ATTR_IDMAP; Linux 5.12).

The map is that of a user namespace: whoever is `container` on disk is `host` through the mount.
"""

from __future__ import annotations

import errno
import os

from estiba.errors import Unavailable
from estiba.linux import mountpoints
from estiba.linux.namespaces import CLONE_NEWNET, CLONE_NEWUSER, unshare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Mappings = Sequence[tuple[int, int, int]]  # (container, host, size)

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
    asking, answering = os.pipe()
    waiting, releasing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            unshare(CLONE_NEWUSER | (CLONE_NEWNET if network else 0))
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
        for name, mappings in (("uid_map", users), ("gid_map", groups)):
            _write(f"/proc/{child}/{name}", "".join(f"{c} {h} {n}\n" for c, h, n in mappings))
        owner = os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        return owner, os.open(f"/proc/{child}/ns/net", os.O_RDONLY | os.O_CLOEXEC) if network else -1
    finally:
        os.close(asking)
        os.close(releasing)
        os.waitpid(child, 0)


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
