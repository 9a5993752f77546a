"""A faithful copy of a directory tree: contents, owners, modes, times, hard links, devices, extended attributes."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

_FICLONE = 0x40049409
_CHUNK = 1 << 26


def copy_tree(source: str, target: str) -> None:
    """Copy all that is in the directory `source` into the empty directory `target`; the two roots stay as they are.

    Nobody else may change either meanwhile. Without privileges everything belongs to the caller and attributes which
    need some are left out. Sockets are left out.

    Raises:
        OSError: no space, or a special file that this user may not make.
    """
    links: dict[tuple[int, int], str] = {}
    is_root = os.geteuid() == 0
    pending = [(source, target)]
    finished: list[tuple[str, str, os.stat_result]] = []
    while pending:
        directory, copy = pending.pop()
        with os.scandir(directory) as found:
            entries = list(found)
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            place = f"{copy}/{entry.name}"
            if stat.S_ISDIR(status.st_mode):
                os.mkdir(place, 0o700)
                pending.append((entry.path, place))
                finished.append((entry.path, place, status))
                continue
            if stat.S_ISSOCK(status.st_mode):
                continue
            if status.st_nlink > 1:
                first = links.setdefault((status.st_dev, status.st_ino), place)
                if first != place:
                    os.link(first, place, follow_symlinks=False)
                    continue
            _copy_file(entry.path, place, status)
            _copy_attributes(entry.path, place, status, is_root=is_root)
    for path, place, status in reversed(finished):
        _copy_attributes(path, place, status, is_root=is_root)


def _copy_file(path: str, place: str, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(path), place)
    elif stat.S_ISREG(status.st_mode):
        _copy_content(path, place)
    else:
        os.mknod(place, status.st_mode, status.st_rdev)


def _copy_content(path: str, place: str) -> None:
    source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        target = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.ioctl(target, _FICLONE, source)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS):
                    raise
                while os.copy_file_range(source, target, _CHUNK):
                    pass
        finally:
            os.close(target)
    finally:
        os.close(source)


def _copy_attributes(path: str, place: str, status: os.stat_result, *, is_root: bool) -> None:
    # The owner first: changing it clears set-user-ID bits and capabilities.
    if is_root:
        os.chown(place, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(place, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(path, follow_symlinks=False):
        try:
            os.setxattr(place, name, os.getxattr(path, name, follow_symlinks=False), follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EACCES):
                raise
    os.utime(place, ns=(status.st_mtime_ns, status.st_mtime_ns), follow_symlinks=False)
