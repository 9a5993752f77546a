"""Directory trees of snapshots: made, measured, removed. Nothing here follows a symbolic link."""

from __future__ import annotations

import errno
import os
import stat

from estiba.linux.libc import checked, libc
from estiba.store.snapshots.base import Usage
from estiba.values import Protocol

_LEVELS = 100
_READ_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def make_root(path: str, *, like: str = "") -> None:
    """Make the directory that becomes a container's ``/``: owner and mode of `like`, else 0755, whatever the umask."""
    os.mkdir(path, 0o700)
    if like:
        copy_root(like, path)
    else:
        os.chmod(path, 0o755)


def copy_root(like: str, path: str) -> None:
    """Give the directory `path` the owner and mode of `like`."""
    status = os.stat(like)
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(path, status.st_uid, status.st_gid)
    os.chmod(path, stat.S_IMODE(status.st_mode))


def remove_tree(path: str) -> None:
    """Remove the directory `path` and all in it; nothing happens where there is none.

    Of any depth: what lies deeper than a number of levels is moved up first, so that neither descriptors nor the
    stack run out.

    Raises:
        OSError: something in it could not be removed (EBUSY: a mount).
    """
    try:
        root = os.open(path, _READ_DIRECTORY)
    except FileNotFoundError:
        return
    except PermissionError:
        os.chmod(path, 0o700)
        root = os.open(path, _READ_DIRECTORY)
    try:
        while _empty(root, root, 0):
            pass
    finally:
        os.close(root)
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return


def _empty(descriptor: int, root: int, depth: int) -> bool:
    """Remove all below the directory `descriptor`; True when something was moved up to `root` instead."""
    with os.scandir(descriptor) as found:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    moved = False
    for name, is_directory in entries:
        if not is_directory:
            _allowing_writes(descriptor, os.unlink, name)
            continue
        try:
            os.rmdir(name, dir_fd=descriptor)
            continue
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EACCES):
                raise
        if depth == _LEVELS:
            os.rename(name, f".deep-{os.urandom(8).hex()}", src_dir_fd=descriptor, dst_dir_fd=root)
            moved = True
            continue
        child = _open_child(descriptor, name)
        try:
            moved = _empty(child, root, depth + 1) or moved
        finally:
            os.close(child)
        _allowing_writes(descriptor, os.rmdir, name)
    return moved


def _open_child(descriptor: int, name: str) -> int:
    try:
        return os.open(name, _READ_DIRECTORY, dir_fd=descriptor)
    except PermissionError:  # our own directory without r or x: other users' are not ours to remove
        os.chmod(name, 0o700, dir_fd=descriptor)
        return os.open(name, _READ_DIRECTORY, dir_fd=descriptor)


class _Remove(Protocol):
    def __call__(self, name: str, /, *, dir_fd: int) -> None: ...


def _allowing_writes(descriptor: int, remove: _Remove, name: str) -> None:
    try:
        remove(name, dir_fd=descriptor)
    except FileNotFoundError:
        return
    except PermissionError:
        os.fchmod(descriptor, 0o700)
        remove(name, dir_fd=descriptor)


def measure(path: str) -> Usage:
    """What the tree takes on the disk; a file with several names counts once."""
    size = inodes = 0
    seen: set[tuple[int, int]] = set()
    pending = [path]
    while pending:
        directory = pending.pop()
        try:
            with os.scandir(directory) as found:
                for entry in found:
                    status = entry.stat(follow_symlinks=False)
                    key = (status.st_dev, status.st_ino)
                    if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                        if key in seen:
                            continue
                        seen.add(key)
                    size += status.st_blocks * 512
                    inodes += 1
                    if stat.S_ISDIR(status.st_mode):
                        pending.append(entry.path)
        except OSError as error:
            # Removed meanwhile, or so deep that its path cannot be said: both are left out.
            if error.errno not in (errno.ENOENT, errno.ENAMETOOLONG):
                raise
    return Usage(size, inodes)


def sync_filesystem(path: str) -> None:
    """Write everything of the filesystem that holds `path` to the disk (syncfs(2)).

    Raises:
        OSError: the disk failed.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        checked(libc.syncfs(descriptor), f"sync the filesystem of {path}")
    finally:
        os.close(descriptor)
