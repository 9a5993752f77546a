"""What an image has where an empty volume is mounted goes into the volume, once: owners, modes, times, links and all.

The image may be hostile: its tree is read through descriptors, no link is followed below the place itself, and the
volume is written with `O_EXCL | O_NOFOLLOW` relative to descriptors as well.
"""

from __future__ import annotations

import errno
import os
import stat

from estiba.linux.paths import open_in_root

_CHUNK = 1 << 20


def fill_volume(rootfs: str, target: str, volume: str) -> bool:
    """Copy the tree at `target` inside `rootfs` into the directory `volume`; False where there is nothing to do.

    Nothing to do: the volume is not empty, or the image has no directory there. The volume's own directory gets owner
    and mode of the image's.
    """
    if os.listdir(volume):
        return False
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        source = open_in_root(root, target, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        raise
    finally:
        os.close(root)
    into = os.open(volume, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _copy_directory(source, into, {})
    finally:
        os.close(source)
        os.close(into)
    return True


def _copy_directory(source: int, into: int, seen: dict[tuple[int, int], tuple[int, str]]) -> None:
    """Copy what the directory `source` holds, then its owner, mode, attributes and times.

    `seen` maps inodes with several names to the first copy: a descriptor of its directory, and its name.
    """
    for name in sorted(os.listdir(source)):
        status = os.lstat(name, dir_fd=source)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFDIR:
            os.mkdir(name, 0o700, dir_fd=into)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            below, copy = os.open(name, flags, dir_fd=source), os.open(name, flags, dir_fd=into)
            try:
                _copy_directory(below, copy, {})
            finally:
                os.close(below)
                os.close(copy)
            continue
        inode = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and inode in seen:
            directory, first = seen[inode]
            os.link(first, name, src_dir_fd=directory, dst_dir_fd=into, follow_symlinks=False)
            continue
        seen[inode] = (into, name)
        if kind == stat.S_IFREG:
            _copy_file(source, into, name, status)
            continue
        if kind == stat.S_IFLNK:
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=into)
        elif kind in (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK):
            try:
                os.mknod(name, status.st_mode, status.st_rdev, dir_fd=into)
            except PermissionError:
                continue  # a device, in a user namespace, where it would not work anyway
        os.chown(name, status.st_uid, status.st_gid, dir_fd=into, follow_symlinks=False)
        os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=into, follow_symlinks=False)
    _copy_status(source, into)


def _copy_file(source: int, into: int, name: str, status: os.stat_result) -> None:
    reading = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source)
    writing = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=into)
    try:
        left = status.st_size
        while left > 0:
            sent = os.copy_file_range(reading, writing, min(left, _CHUNK)) if left else 0
            if not sent:
                break
            left -= sent
        _copy_status(reading, writing)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        os.lseek(reading, 0, os.SEEK_SET)
        os.ftruncate(writing, 0)
        os.lseek(writing, 0, os.SEEK_SET)
        while data := os.read(reading, _CHUNK):
            while data:
                data = data[os.write(writing, data) :]
        _copy_status(reading, writing)
    finally:
        os.close(reading)
        os.close(writing)


def _copy_status(source: int, into: int) -> None:
    status = os.fstat(source)
    os.fchown(into, status.st_uid, status.st_gid)
    os.fchmod(into, stat.S_IMODE(status.st_mode))
    for attribute in os.listxattr(source):
        if attribute.startswith(("user.", "security.capability", "system.posix_acl")):
            os.setxattr(into, attribute, os.getxattr(source, attribute))
    os.utime(into, ns=(status.st_atime_ns, status.st_mtime_ns))
