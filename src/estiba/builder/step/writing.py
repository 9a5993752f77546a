"""Writing files into a root that an image may have prepared: every path is resolved inside of it."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from types import TracebackType
from typing import IO

from estiba.errors import InvalidInput
from estiba.linux.paths import open_in_root

_BLOCK = 1 << 20
_KEPT_DIRECTORIES = 64


class Owner:
    """Who files belong to: fixed ids, or those of the source where `uid` is None."""

    def __init__(self, uid: int | None, gid: int | None) -> None:
        self.uid = uid
        self.gid = gid

    def of(self, uid: int, gid: int) -> tuple[int, int]:
        return (uid if self.uid is None else self.uid, gid if self.gid is None else self.gid)


class RootWriter:
    """Writes below the directory `root`. Missing parents belong to `parent_owner` and have mode 0755.

    Times of what it makes are `epoch` in seconds; None leaves what the caller gives. Close it after use.
    """

    def __init__(self, root: str, *, parent_owner: tuple[int, int] = (0, 0), epoch: int | None = None) -> None:
        self._root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._parent_owner = parent_owner
        self._epoch = epoch
        self._directories: dict[str, int] = {}
        self._may_own = os.geteuid() == 0

    def __enter__(self) -> RootWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for descriptor in self._directories.values():
            os.close(descriptor)
        os.close(self._root_fd)

    def is_directory(self, path: str) -> bool:
        """Whether `path`, its links followed inside the root, is a directory."""
        try:
            os.close(open_in_root(self._root_fd, _inside(path), os.O_PATH | os.O_DIRECTORY))
        except OSError:
            return False
        return True

    def make_directories(self, path: str) -> None:
        """Make `path` and its parents where they are missing; what is there keeps its owner and mode.

        Raises:
            InvalidInput: something on the way is not a directory.
        """
        self._directory(_inside(path))

    def directory(self, path: str, mode: int, owner: tuple[int, int], mtime_ns: int) -> None:
        """Make one directory with these attributes; an existing one is left as it is."""
        parent, name = self._parent(path)
        if not name:
            return
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if self.is_directory(path):
                return
            raise InvalidInput(f"cannot copy a directory to {path}: there is a file of that name") from None
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            self._own(descriptor, owner)
            os.fchmod(descriptor, stat.S_IMODE(mode))
            self._stamp(descriptor, mtime_ns)
        finally:
            os.close(descriptor)

    def file(self, path: str, mode: int, owner: tuple[int, int], mtime_ns: int, source: int | bytes) -> int:
        """Write a file from a descriptor or from bytes, in place of any file of that name; gives its size.

        Raises:
            InvalidInput: a directory is in the way.
        """
        parent, name = self._parent(path)
        descriptor = self._create(parent, name, path)
        try:
            size = _write_all(descriptor, source) if isinstance(source, bytes) else _copy(source, descriptor)
            self._own(descriptor, owner)
            os.fchmod(descriptor, stat.S_IMODE(mode))
            self._stamp(descriptor, mtime_ns)
        finally:
            os.close(descriptor)
        return size

    def stream(self, path: str, mode: int, owner: tuple[int, int], mtime_ns: int, content: IO[bytes]) -> None:
        """Write a file from a reader, in place of any file of that name."""
        parent, name = self._parent(path)
        descriptor = self._create(parent, name, path)
        try:
            while block := content.read(_BLOCK):
                _write_all(descriptor, block)
            self._own(descriptor, owner)
            os.fchmod(descriptor, stat.S_IMODE(mode))
            self._stamp(descriptor, mtime_ns)
        finally:
            os.close(descriptor)

    def hard_link(self, path: str, existing: str) -> None:
        """Give the file `existing` in this root a second name.

        Raises:
            InvalidInput: there is no such file.
        """
        source, source_name = self._parent(existing)
        parent, name = self._parent(path)
        self._clear(parent, name, path)
        try:
            os.link(source_name, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            raise InvalidInput(f"cannot link {path} to {existing}: {error.strerror}") from None

    def link(self, path: str, target: str, owner: tuple[int, int], mtime_ns: int) -> None:
        """Make a symbolic link in place of any file of that name."""
        parent, name = self._parent(path)
        self._clear(parent, name, path)
        os.symlink(target, name, dir_fd=parent)
        if self._may_own:
            os.chown(name, *owner, dir_fd=parent, follow_symlinks=False)
        times = self._times(mtime_ns)
        os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)

    def special(self, path: str, mode: int, device: int, owner: tuple[int, int], mtime_ns: int) -> None:
        """Make a device node or a fifo."""
        parent, name = self._parent(path)
        self._clear(parent, name, path)
        os.mknod(name, mode, device, dir_fd=parent)
        os.chown(name, *owner, dir_fd=parent, follow_symlinks=False)
        os.chmod(name, stat.S_IMODE(mode), dir_fd=parent)
        os.utime(name, ns=self._times(mtime_ns), dir_fd=parent, follow_symlinks=False)

    def resolve(self, path: str) -> str:
        """Where `path` leads when its links are followed inside the root; `path` itself where it does not exist."""
        try:
            descriptor = open_in_root(self._root_fd, _inside(path), os.O_PATH)
        except OSError:
            return path
        try:
            real = os.readlink(f"/proc/self/fd/{descriptor}")
            root = os.readlink(f"/proc/self/fd/{self._root_fd}").rstrip("/")
        finally:
            os.close(descriptor)
        return real[len(root) :] or "/"

    def _parent(self, path: str) -> tuple[int, str]:
        directory, name = posixpath.split(_inside(path))
        return self._directory(directory), name

    def _directory(self, path: str) -> int:
        """A descriptor of the directory `path`, made with its parents where missing; kept for the next file."""
        if not path or path == ".":
            return self._root_fd
        known = self._directories.get(path)
        if known is not None:
            return known
        try:
            descriptor = open_in_root(self._root_fd, path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            descriptor = self._make(path)
        except NotADirectoryError:
            raise InvalidInput(f"/{path} is not a directory") from None
        if len(self._directories) >= _KEPT_DIRECTORIES:
            oldest = next(iter(self._directories))
            os.close(self._directories.pop(oldest))
        self._directories[path] = descriptor
        return descriptor

    def _make(self, path: str) -> int:
        directory, name = posixpath.split(path)
        parent = self._directory(directory)
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
        except FileExistsError:
            raise InvalidInput(
                f"/{path} is a link that leads nowhere", remedy="Make what it points at first."
            ) from None
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        os.fchmod(descriptor, 0o755)
        self._own(descriptor, self._parent_owner)
        self._stamp(descriptor, 0)
        return descriptor

    def _create(self, parent: int, name: str, path: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(name, flags, 0o600, dir_fd=parent)
        except FileExistsError:
            self._clear(parent, name, path)
            return os.open(name, flags, 0o600, dir_fd=parent)

    @staticmethod
    def _clear(parent: int, name: str, path: str) -> None:
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in (errno.EISDIR, errno.EPERM):
                raise
            raise InvalidInput(f"cannot copy a file to {path}: there is a directory of that name") from None

    def _own(self, descriptor: int, owner: tuple[int, int]) -> None:
        if self._may_own:
            os.fchown(descriptor, *owner)

    def _stamp(self, descriptor: int, mtime_ns: int) -> None:
        os.utime(descriptor, ns=self._times(mtime_ns))

    def _times(self, mtime_ns: int) -> tuple[int, int]:
        at = mtime_ns if self._epoch is None else self._epoch * 1_000_000_000
        return at, at


def _inside(path: str) -> str:
    """`path` relative to the root, without `.` and `..`."""
    return posixpath.normpath("/" + path).lstrip("/")


def _write_all(descriptor: int, data: bytes) -> int:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    return len(data)


def _copy(source: int, destination: int) -> int:
    total = 0
    try:
        while copied := os.copy_file_range(source, destination, 1 << 30):
            total += copied
    except OSError as error:
        if total or error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM):
            raise
    if total:
        return total
    while block := os.read(source, _BLOCK):
        total += _write_all(destination, block)
    return total
