"""Opening paths inside a root that an attacker may have written: nothing resolves to a place outside of it.

Every symbolic link, absolute or with `..`, is taken relative to the root, as the container would see it (openat2(2),
RESOLVE_IN_ROOT); links of procfs that jump elsewhere are refused (RESOLVE_NO_MAGICLINKS).
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat

from estiba.linux.libc import SYS_OPENAT2, syscall

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
IN_ROOT_NO_LINKS = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS

_MOST_LINKS = 40  # as the kernel
_ATTEMPTS = 64  # openat2 gives EAGAIN while somebody renames directories under the root


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def open_in_root(
    root_fd: int,
    path: str | bytes,
    flags: int,
    mode: int = 0,
    *,
    resolve: int = IN_ROOT,
) -> int:
    """Open `path` as seen by a process whose root is the directory `root_fd`; gives a descriptor (close-on-exec).

    Raises:
        OSError: as open(2); ELOOP for a magic link, EAGAIN after 64 attempts in a tree that keeps changing.
    """
    name = os.fsencode(path)
    if b"\0" in name:
        raise OSError(errno.EINVAL, f"open {os.fsdecode(name)!r}: a path ends at a null byte")
    how = _OpenHow(flags | os.O_CLOEXEC, mode if flags & (os.O_CREAT | os.O_TMPFILE) else 0, resolve)
    for attempt in range(_ATTEMPTS):
        try:
            return syscall(
                SYS_OPENAT2, root_fd, name, ctypes.byref(how), ctypes.sizeof(how), what=f"open {os.fsdecode(name)!r}"
            )
        except OSError as error:
            if error.errno != errno.EAGAIN or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def resolved_in_root(root: str, path: str, flags: int = 0) -> str:
    """Where `path` leads inside the directory `root`, without links; `flags` as O_DIRECTORY say what it must be.

    It holds as long as nobody else changes the tree.

    Raises:
        OSError: as `open_in_root`.
    """
    root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = open_in_root(root_fd, path.lstrip("/") or ".", os.O_PATH | flags)
    finally:
        os.close(root_fd)
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def open_regular(directory: int, name: str) -> int:
    """Open the regular file `name` in `directory` for reading (close-on-exec); whatever else is there is not touched.

    Opening a device may do something, and opening a pipe waits: what is a file now may be one of them a moment later.

    Raises:
        OSError: as open(2); ESTALE where it is no regular file.
    """
    found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            raise OSError(errno.ESTALE, f"{name!r} is no regular file any more")
        return os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(found)


def make_directories(root_fd: int, path: str, mode: int = 0o755, *, resolve: int = IN_ROOT) -> int:
    """Make the directory `path` and those above it where they lack, all inside the root; gives an O_PATH descriptor.

    A link that leads to nothing gets its target made, inside the root.

    Raises:
        OSError: ENOTDIR where a file is in the way, ELOOP for a link that `resolve` forbids, or too many of them.
    """
    waiting = [part for part in path.split("/") if part not in ("", ".")]
    waiting.reverse()
    links = 0
    done = ""
    current = open_in_root(root_fd, ".", os.O_PATH | os.O_DIRECTORY)
    try:
        while waiting:
            part = waiting.pop()
            following = _enter_or_make(root_fd, current, f"{done}/{part}", part, mode, resolve)
            if following >= 0:
                done = f"{done}/{part}"
                os.close(current)
                current = following
                continue
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, f"too many links in {path!r}")
            target = os.readlink(part, dir_fd=current)
            if target.startswith("/"):
                done = ""
                os.close(current)
                current = open_in_root(root_fd, ".", os.O_PATH | os.O_DIRECTORY)
            waiting.extend(reversed([piece for piece in target.split("/") if piece not in ("", ".")]))
    except BaseException:
        os.close(current)
        raise
    return current


def _enter_or_make(root_fd: int, current: int, path: str, name: str, mode: int, resolve: int) -> int:
    """A descriptor of the directory `path`, which is `name` in `current`; -1 for a link that leads to nothing."""
    try:
        return open_in_root(root_fd, path, os.O_PATH | os.O_DIRECTORY, resolve=resolve)
    except FileNotFoundError:
        pass
    try:
        os.mkdir(name, mode, dir_fd=current)
    except FileExistsError:
        pass  # made in between, or a link that leads to nothing: opening it tells
    try:
        return open_in_root(root_fd, path, os.O_PATH | os.O_DIRECTORY, resolve=resolve)
    except FileNotFoundError:
        return -1


def make_file(root_fd: int, path: str, mode: int = 0o644) -> int:
    """Make the empty file `path` where nothing is, with the directories above it; gives an O_PATH descriptor.

    A link that leads to nothing gets its target made, inside the root, as opening it in the container would.
    """
    place = path.rstrip("/")
    for _ in range(_MOST_LINKS):
        try:
            return open_in_root(root_fd, path, os.O_PATH)
        except FileNotFoundError:
            above, _, name = place.rpartition("/")
            directory = make_directories(root_fd, above)
        try:
            # Of a chain of links the last one's target is missing, perhaps with the directories above it.
            target = os.readlink(name, dir_fd=directory)
            place = target.rstrip("/") if target.startswith("/") else f"{above}/{target}".rstrip("/")
        except OSError:
            # New, or not at all: what somebody puts there meanwhile may be a pipe or a device.
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                os.close(os.open(name, flags, mode, dir_fd=directory))
            except (FileExistsError, IsADirectoryError):
                continue
        finally:
            os.close(directory)
    raise OSError(errno.ELOOP, f"too many links in {path!r}")
