"""A faithful copy of a directory tree: contents, owners, modes, times, hard links, devices, extended attributes."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from estiba.linux.paths import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, open_in_root, open_regular

_FICLONE = 0x40049409
_CHUNK = 1 << 26
_NOT_OURS = (errno.EPERM, errno.EOPNOTSUPP, errno.EACCES)
_NO_WAY_OUT = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS


def copy_tree(source: str, target: str) -> None:
    """Copy all that is in the directory `source` into the empty directory `target`; the two roots stay as they are.

    Nobody else may change `target` meanwhile. Whoever changes `source` spoils the copy, and no more: what is exchanged
    in it never leads out of it. Without privileges everything belongs to the caller and attributes which need some are
    left out. Sockets are left out.

    Raises:
        OSError: no space, a special file that this user may not make, or what was just seen is another thing now.
    """
    root = os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _Copying(root, target).all()
    finally:
        os.close(root)


class _Copying:
    def __init__(self, root: int, target: str) -> None:
        self._root = root
        self._target = target
        self._links: dict[tuple[int, int], str] = {}
        self._is_root = os.geteuid() == 0

    def all(self) -> None:
        pending = ["."]
        finished: list[tuple[str, os.stat_result, list[tuple[str, bytes]]]] = []
        while pending:
            path = pending.pop()
            directory = open_in_root(self._root, path, os.O_RDONLY | os.O_DIRECTORY, resolve=_NO_WAY_OUT)
            try:
                if path != ".":
                    finished.append((f"{self._target}/{path}", os.fstat(directory), _attributes(directory)))
                pending.extend(f"{path}/{name}" for name in os.listdir(directory) if self._entry(directory, path, name))
            finally:
                os.close(directory)
        for place, status, attributes in reversed(finished):
            self._finish(place, status, attributes)

    def _entry(self, directory: int, path: str, name: str) -> bool:
        """Copy what `name` is; True for a directory, whose content is to come."""
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        place = f"{self._target}/{path}/{name}"
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(place, 0o700)
            return True
        if stat.S_ISREG(status.st_mode):
            self._file(directory, name, place)
        elif not stat.S_ISSOCK(status.st_mode) and not self._is_another_name(status, place):
            if stat.S_ISLNK(status.st_mode):
                os.symlink(os.readlink(name, dir_fd=directory), place)
            else:
                os.mknod(place, status.st_mode, status.st_rdev)
            self._finish(place, status, _attributes(f"/proc/self/fd/{directory}/{name}"))
        return False

    def _file(self, directory: int, name: str, place: str) -> None:
        source = open_regular(directory, name)
        try:
            status = os.fstat(source)
            if not self._is_another_name(status, place):
                _copy_content(source, place, status.st_size)
                self._finish(place, status, _attributes(source))
        finally:
            os.close(source)

    def _is_another_name(self, status: os.stat_result, place: str) -> bool:
        """Whether the file has been copied under its first name, to which `place` is then a hard link."""
        if status.st_nlink == 1:
            return False
        first = self._links.setdefault((status.st_dev, status.st_ino), place)
        if first == place:
            return False
        os.link(first, place, follow_symlinks=False)
        return True

    def _finish(self, place: str, status: os.stat_result, attributes: list[tuple[str, bytes]]) -> None:
        # The owner first: changing it clears set-user-ID bits and capabilities.
        if self._is_root:
            os.chown(place, status.st_uid, status.st_gid, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(place, stat.S_IMODE(status.st_mode))
        for name, value in attributes:
            try:
                os.setxattr(place, name, value, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _NOT_OURS:
                    raise
        os.utime(place, ns=(status.st_mtime_ns, status.st_mtime_ns), follow_symlinks=False)


def _attributes(file: int | str) -> list[tuple[str, bytes]]:
    """The extended attributes of a descriptor, or of what is at a path itself."""
    follows = isinstance(file, int)
    found = []
    for name in os.listxattr(file, follow_symlinks=follows):
        try:
            found.append((name, os.getxattr(file, name, follow_symlinks=follows)))
        except OSError as error:
            if error.errno not in _NOT_OURS:
                raise
    return found


def _copy_content(source: int, place: str, size: int) -> None:
    target = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS):
                raise
            left = size
            while left and (copied := os.copy_file_range(source, target, min(left, _CHUNK))):
                left -= copied
    finally:
        os.close(target)
