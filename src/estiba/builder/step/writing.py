"""Writing files into a root that an image may have prepared: every path is resolved inside of it."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from types import TracebackType
from typing import IO, NamedTuple

from estiba.builder.step.attributes import copy_attributes
from estiba.errors import InvalidInput
from estiba.linux.paths import open_in_root

_BLOCK = 1 << 20
_SMALL = 1 << 16
_KEPT_DIRECTORIES = 64
_MOST_LINKS = 40  # as the kernel's own limit
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY_ITSELF = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CANNOT_SPLICE = (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM)


class Owner:
    """Who files belong to: fixed ids, or those of the source where `uid` is None."""

    def __init__(self, uid: int | None, gid: int | None) -> None:
        self.uid = uid
        self.gid = gid

    def of(self, uid: int, gid: int) -> tuple[int, int]:
        return (uid if self.uid is None else self.uid, gid if self.gid is None else self.gid)


class _Directory(NamedTuple):
    """An open directory. What is made in it has the group `gid`, and with `masks` other modes than asked for."""

    descriptor: int
    gid: int
    masks: bool


class RootWriter:
    """Writes below the directory `root`. Missing parents belong to `parent_owner` and have mode 0755.

    Times of what it makes are `epoch` in seconds; None leaves what the caller gives. With `stamps` False times are left
    as they come, for whoever sets them all at the end. The umask does not count between enter and exit.
    """

    def __init__(
        self, root: str, *, parent_owner: tuple[int, int] = (0, 0), epoch: int | None = None, stamps: bool = True
    ) -> None:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._root = _Directory(descriptor, *self._facts(descriptor))
        self._parent_owner = parent_owner
        self._epoch = epoch
        self._stamps = stamps
        self._directories: dict[str, _Directory] = {}
        self._uid = os.geteuid()
        self._may_own = self._uid == 0
        self._umask = 0
        self._splices = True

    def __enter__(self) -> RootWriter:
        self._umask = os.umask(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.umask(self._umask)
        for directory in self._directories.values():
            os.close(directory.descriptor)
        os.close(self._root.descriptor)

    def is_directory(self, path: str) -> bool:
        """Whether `path`, its links followed inside the root, is a directory."""
        try:
            os.close(open_in_root(self._root.descriptor, _inside(path), os.O_PATH | os.O_DIRECTORY))
        except OSError:
            return False
        return True

    def make_directories(self, path: str) -> None:
        """Make `path` and its parents where they are missing; what is there keeps its owner and mode.

        Raises:
            InvalidInput: something on the way is not a directory.
        """
        self._directory(_inside(path))

    def directory(self, path: str, mode: int, owner: tuple[int, int], mtime_ns: int, source: int = -1) -> None:
        """Make one directory, or give one that is there, these attributes, and the extended ones of `source`.

        A link to a directory stays and is one, as it is.

        Raises:
            InvalidInput: a file is in the way.
        """
        parent, name = self._parent(path)
        if not name:
            return
        try:
            os.mkdir(name, 0o700, dir_fd=parent.descriptor)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent.descriptor, follow_symlinks=False).st_mode):
                if self.is_directory(path):
                    return
                raise InvalidInput(f"cannot copy a directory to {path}: there is a file of that name") from None
        descriptor = os.open(name, _DIRECTORY_ITSELF, dir_fd=parent.descriptor)
        try:
            status = os.fstat(descriptor)
            if self._may_own and (status.st_uid, status.st_gid) != owner:
                os.fchown(descriptor, *owner)
            if stat.S_IMODE(status.st_mode) != stat.S_IMODE(mode):
                os.fchmod(descriptor, stat.S_IMODE(mode))
            if source >= 0:
                copy_attributes(source, descriptor)
            self._stamp(descriptor, mtime_ns)
        finally:
            os.close(descriptor)

    def file(
        self,
        path: str,
        mode: int,
        owner: tuple[int, int],
        mtime_ns: int,
        source: int | bytes,
        *,
        size: int = -1,
        has_attributes: bool = False,
    ) -> int:
        """Write a file from a descriptor or from bytes, in place of any file of that name; gives its size.

        `size` is what the descriptor is expected to hold (-1: unknown); `has_attributes`: its extended ones are copied.

        Raises:
            InvalidInput: a directory is in the way.
        """
        parent, name = self._parent(path)
        descriptor = self._create(parent, name, path, mode)
        try:
            if isinstance(source, bytes):
                written = _write_all(descriptor, source)
            else:
                written = self._copy(source, descriptor, size)
            self._finish(descriptor, parent, mode, owner, mtime_ns)
            if has_attributes and not isinstance(source, bytes):
                copy_attributes(source, descriptor)
        finally:
            os.close(descriptor)
        return written

    def stream(self, path: str, mode: int, owner: tuple[int, int], mtime_ns: int, content: IO[bytes]) -> None:
        """Write a file from a reader, in place of any file of that name."""
        parent, name = self._parent(path)
        descriptor = self._create(parent, name, path, mode)
        try:
            while block := content.read(_BLOCK):
                _write_all(descriptor, block)
            self._finish(descriptor, parent, mode, owner, mtime_ns)
        finally:
            os.close(descriptor)

    def hard_link(self, path: str, existing: str) -> None:
        """Give the file `existing` in this root a second name.

        Raises:
            InvalidInput: there is no such file.
        """
        parent, name = self._parent(path)
        directory, source_name = posixpath.split(_inside(existing))
        try:
            source = open_in_root(self._root.descriptor, directory or ".", os.O_PATH | os.O_DIRECTORY)
            try:
                self._clear(parent, name, path)
                os.link(source_name, name, src_dir_fd=source, dst_dir_fd=parent.descriptor, follow_symlinks=False)
            finally:
                os.close(source)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise InvalidInput(f"cannot link {path} to {existing}: {error.strerror}") from None

    def link(self, path: str, target: str, owner: tuple[int, int], mtime_ns: int) -> None:
        """Make a symbolic link in place of any file of that name."""
        parent, name = self._parent(path)
        self._clear(parent, name, path)
        os.symlink(target, name, dir_fd=parent.descriptor)
        self._finish_name(parent, name, owner, mtime_ns)

    def special(self, path: str, mode: int, device: int, owner: tuple[int, int], mtime_ns: int) -> None:
        """Make a device node or a fifo.

        Raises:
            InvalidInput: device 0:0, which means a deletion in a layer.
        """
        if stat.S_ISCHR(mode) and device == 0:
            raise InvalidInput(f"cannot make the device 0:0 at {path}: in a layer it means that a file is deleted")
        parent, name = self._parent(path)
        self._clear(parent, name, path)
        os.mknod(name, mode, device, dir_fd=parent.descriptor)
        self._finish_name(parent, name, owner, mtime_ns)
        os.chmod(name, stat.S_IMODE(mode), dir_fd=parent.descriptor)

    def resolve(self, path: str) -> str:
        """Where `path` leads when the links at its end are followed inside the root, whether that exists or not.

        Raises:
            InvalidInput: they go round in a circle.
        """
        for _ in range(_MOST_LINKS):
            directory, name = posixpath.split(_inside(path))
            try:
                descriptor = open_in_root(self._root.descriptor, directory or ".", os.O_PATH | os.O_DIRECTORY)
            except OSError:
                return path
            try:
                target = os.readlink(name, dir_fd=descriptor)
                real = os.readlink(f"/proc/self/fd/{descriptor}")
                root = os.readlink(f"/proc/self/fd/{self._root.descriptor}").rstrip("/")
            except OSError:
                return path
            finally:
                os.close(descriptor)
            path = posixpath.join(real[len(root) :] or "/", target)
        raise InvalidInput(f"too many levels of symbolic links at {path}")

    def _parent(self, path: str) -> tuple[_Directory, str]:
        directory, name = posixpath.split(_inside(path))
        return self._directory(directory), name

    def _directory(self, path: str) -> _Directory:
        """The directory `path`, made with its parents where missing; kept open for the next file."""
        if not path or path == ".":
            return self._root
        known = self._directories.get(path)
        if known is not None:
            return known
        try:
            descriptor = open_in_root(self._root.descriptor, path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            descriptor = self._make(path)
        except NotADirectoryError:
            raise InvalidInput(f"/{path} is not a directory") from None
        directory = _Directory(descriptor, *self._facts(descriptor))
        if len(self._directories) >= _KEPT_DIRECTORIES:
            oldest = next(iter(self._directories))
            os.close(self._directories.pop(oldest).descriptor)
        self._directories[path] = directory
        return directory

    def _make(self, path: str) -> int:
        directory, name = posixpath.split(path)
        parent = self._directory(directory)
        try:
            os.mkdir(name, 0o755, dir_fd=parent.descriptor)
        except FileExistsError:
            raise InvalidInput(
                f"/{path} is a link that leads nowhere", remedy="Make what it points at first."
            ) from None
        descriptor = os.open(name, _DIRECTORY_ITSELF, dir_fd=parent.descriptor)
        self._finish(descriptor, parent._replace(masks=True), 0o755, self._parent_owner, 0)
        return descriptor

    @staticmethod
    def _facts(descriptor: int) -> tuple[int, bool]:
        """The group of what is made in a directory, and whether a default ACL takes rights from it (acl(5))."""
        status = os.fstat(descriptor)
        try:
            masks = "system.posix_acl_default" in os.listxattr(descriptor)
        except OSError:
            masks = False
        return status.st_gid if status.st_mode & stat.S_ISGID else os.getegid(), masks

    def _create(self, parent: _Directory, name: str, path: str, mode: int) -> int:
        mode = stat.S_IMODE(mode) & 0o777
        try:
            return os.open(name, _NEW_FILE, mode, dir_fd=parent.descriptor)
        except FileExistsError:
            self._clear(parent, name, path)
            return os.open(name, _NEW_FILE, mode, dir_fd=parent.descriptor)

    @staticmethod
    def _clear(parent: _Directory, name: str, path: str) -> None:
        try:
            os.unlink(name, dir_fd=parent.descriptor)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in (errno.EISDIR, errno.EPERM):
                raise
            raise InvalidInput(f"cannot copy a file to {path}: there is a directory of that name") from None

    def _finish(self, descriptor: int, parent: _Directory, mode: int, owner: tuple[int, int], mtime_ns: int) -> None:
        """Owner, mode and time of a new file, where they are not what it was made with."""
        if self._may_own and owner != (self._uid, parent.gid):
            os.fchown(descriptor, *owner)
        if parent.masks or mode & 0o7000:
            os.fchmod(descriptor, stat.S_IMODE(mode))
        self._stamp(descriptor, mtime_ns)

    def _finish_name(self, parent: _Directory, name: str, owner: tuple[int, int], mtime_ns: int) -> None:
        if self._may_own and owner != (self._uid, parent.gid):
            os.chown(name, *owner, dir_fd=parent.descriptor, follow_symlinks=False)
        if self._stamps:
            os.utime(name, ns=self._times(mtime_ns), dir_fd=parent.descriptor, follow_symlinks=False)

    def _stamp(self, descriptor: int, mtime_ns: int) -> None:
        if self._stamps:
            os.utime(descriptor, ns=self._times(mtime_ns))

    def _times(self, mtime_ns: int) -> tuple[int, int]:
        at = mtime_ns if self._epoch is None else self._epoch * 1_000_000_000
        return at, at

    def _copy(self, source: int, destination: int, size: int) -> int:
        """Copy all of `source`; a small file by reading, a large one by the kernel, its holes staying holes."""
        if 0 <= size <= _SMALL:
            return _copy_by_reading(source, destination, size)
        status = os.fstat(source)
        if status.st_blocks * 512 < status.st_size:
            return _copy_sparse(source, destination, status.st_size)
        if self._splices:
            total = 0
            try:
                while copied := os.copy_file_range(source, destination, 1 << 30):
                    total += copied
            except OSError as error:
                if total or error.errno not in _CANNOT_SPLICE:
                    raise
                self._splices = False
            if total:
                return total
        return _copy_by_reading(source, destination, -1)


def _inside(path: str) -> str:
    """`path` relative to the root, without `.` and `..`."""
    return posixpath.normpath("/" + path).lstrip("/")


def _write_all(descriptor: int, data: bytes) -> int:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    return len(data)


def _copy_by_reading(source: int, destination: int, expected: int) -> int:
    """Copy `expected` bytes, or with -1 all that there are."""
    total = 0
    while total != expected:
        block = os.read(source, _BLOCK if expected < 0 else expected - total)
        if not block:
            break
        total += _write_all(destination, block)
    return total


def _copy_sparse(source: int, destination: int, size: int) -> int:
    """Copy what is data (lseek(2), SEEK_DATA), and end where the source ends."""
    at = 0
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break  # only a hole is left
        end = os.lseek(source, at, os.SEEK_HOLE)
        os.lseek(destination, at, os.SEEK_SET)
        while at < end and (block := os.pread(source, min(_BLOCK, end - at), at)):
            at += _write_all(destination, block)
        if at < end:
            return at  # it became shorter
    os.ftruncate(destination, size)
    return size
