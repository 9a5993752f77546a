"""Files as a tar, between two processes or from a user's: written and read through descriptors of directories alone."""

from __future__ import annotations

import errno
import os
import stat
import tarfile

from estiba.errors import Conflict, EstibaError, InvalidInput, NotFound, Unavailable
from estiba.layers.tar.bounded import BoundedTar
from estiba.linux.mountpoints import is_mounted
from estiba.linux.paths import open_regular
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import BinaryIO

_KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}
_BELOW = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 20
_SET_ID = 0o6000
_MOST_TOLD = 1000
_CAPABILITY = "security.capability"
_XATTR = "SCHILY.xattr."
_EXCHANGED = (errno.ELOOP, errno.ENOTDIR, errno.ESTALE)
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_IN_THE_WAY = (
    errno.EACCES,
    errno.EBUSY,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EROFS,
)


class Taken(NamedTuple):
    """How files are made: `owner` (None: as in the tar). `is_trusting` also makes devices and set-ID programs."""

    owner: tuple[int, int] | None
    is_trusting: bool


class Pipe:
    """The descriptor `descriptor` to write a stream to. It keeps nothing back, so nothing is left to fail later."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        return len(data)


def send(directory: int, name: str, as_name: str, out: BinaryIO | Pipe) -> int:
    """Write what lies at `name` in `directory` as a tar, where it is called `as_name`; "" writes the contents alone.

    Gives the bytes of its files. Links are written as links.

    Raises:
        NotFound: it is not there. InvalidInput: it would not be in `directory`, or directories lie too deep in it.
        OSError: it cannot be read (`filename` is its name in the tar), or nobody reads `out` (BrokenPipeError).
    """
    if name == ".." or "/" in name:
        raise InvalidInput(f"{name} is no name in a directory")
    try:
        # It only writes to the file.
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
            walk = _Walk(tar)
            if as_name:
                walk.entry(directory, name, as_name)
            else:
                below = _opened_directory(directory, name, name)
                try:
                    walk.contents(below, "")
                finally:
                    os.close(below)
            return walk.size
    except RecursionError:
        raise InvalidInput(
            f"{as_name or name} has directories that lie too deep to be copied", remedy="Copy a part of it."
        ) from None


class _Walk:
    def __init__(self, tar: tarfile.TarFile) -> None:
        self.size = 0
        self._tar = tar
        self._links: dict[tuple[int, int], str] = {}

    def contents(self, directory: int, name: str) -> None:
        for entry in sorted(os.listdir(directory)):
            try:
                self.entry(directory, entry, f"{name}/{entry}" if name else entry)
            except (NotFound, FileNotFoundError):
                continue  # gone meanwhile
            except OSError as error:
                if error.errno not in _EXCHANGED:
                    raise
                continue  # another thing meanwhile

    def entry(self, directory: int, entry: str, name: str) -> None:
        try:
            status = os.stat(entry, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            raise NotFound(f"{name} is not there") from None
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return  # a socket: nobody could use it
        member = _member(name, kind, status)
        if kind == tarfile.REGTYPE:
            self._file(directory, entry, member)
        elif kind == tarfile.DIRTYPE:
            below = _opened_directory(directory, entry, name)
            try:
                self._add(_member(name, kind, os.fstat(below)))
                self.contents(below, name)
            finally:
                os.close(below)
        else:
            if kind == tarfile.SYMTYPE:
                member.linkname = os.readlink(entry, dir_fd=directory)
            self._add(member)

    def _file(self, directory: int, entry: str, member: tarfile.TarInfo) -> None:
        try:
            descriptor = open_regular(directory, entry)
        except OSError as error:
            error.filename = member.name
            raise
        with open(descriptor, "rb", buffering=0) as file:
            status = os.fstat(descriptor)
            first = self._links.setdefault((status.st_dev, status.st_ino), member.name) if status.st_nlink > 1 else ""
            if first and first != member.name:
                member.type, member.linkname = tarfile.LNKTYPE, first
                self._add(member)
                return
            member.size = status.st_size
            self.size += status.st_size
            member.pax_headers = _attributes(descriptor)
            self._add(member, _Exactly(file, status.st_size))

    def _add(self, member: tarfile.TarInfo, content: _Exactly | None = None) -> None:
        self._tar.addfile(member, content)  # type: ignore[arg-type]
        self._tar.members.clear()  # type: ignore[attr-defined]  # which it would keep, however many they are


def _opened_directory(directory: int, entry: str, name: str) -> int:
    try:
        return os.open(entry, _BELOW, dir_fd=directory)
    except OSError as error:
        error.filename = name
        raise


class _Exactly:
    """A file that has as many bytes as was said, whatever becomes of it: zeros where it became shorter."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int) -> bytes:
        wanted = min(size, self._left)
        data = self._file.read(wanted) if wanted else b""
        data += bytes(wanted - len(data))
        self._left -= wanted
        return data


def _member(name: str, kind: bytes, status: os.stat_result) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.mode = stat.S_IMODE(status.st_mode)
    member.uid, member.gid, member.mtime = status.st_uid, status.st_gid, int(status.st_mtime)
    if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        member.devmajor, member.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    return member


def _attributes(descriptor: int) -> dict[str, str]:
    try:
        value = os.getxattr(descriptor, _CAPABILITY)
    except OSError:
        return {}
    return {_XATTR + _CAPABILITY: value.decode("utf-8", "surrogateescape")}


def take(source: BinaryIO, open_directory: Callable[[str], int], how: Taken) -> list[str]:
    """Make what the tar `source` (of any usual compression) says; gives the names of what was left out, a thousand at
    most.

    `open_directory` gives a descriptor of a directory by its path below the target, made where it is missing; "" is the
    target itself. It decides which links are followed.

    Raises:
        InvalidInput: it is no tar, or an entry leads out of the target. Conflict: something is in the way, or
        read-only. Unavailable: no space, or the disk failed.
    """
    try:
        tar = BoundedTar.open(fileobj=source, mode="r|*")
    except (tarfile.TarError, EOFError, TypeError) as error:  # TypeError: the header of gzip is cut
        raise _no_tar(error) from error
    try:
        with tar:
            return _Taking(open_directory, how).all(tar, tar)
    except (tarfile.TarError, EOFError) as error:
        raise _no_tar(error) from error


def _no_tar(error: Exception) -> InvalidInput:
    return InvalidInput(f"the stream is no tar: {error or 'it is cut'}", remedy="Give what `tar -c` writes.")


class _Taking:
    def __init__(self, open_directory: Callable[[str], int], how: Taken) -> None:
        self._open = open_directory
        self._how = how
        self._finished: dict[str, tuple[int, int]] = {}
        self._left_out: list[str] = []

    def all(self, tar: tarfile.TarFile, members: Iterable[tarfile.TarInfo]) -> list[str]:
        for member in members:
            names = _names(member.name)
            if names:
                self._one(tar, member, names)
            elif not member.isdir():
                raise InvalidInput(f"the tar has a file without a name: {member.name!r}")
        for path, (mode, seconds) in reversed(self._finished.items()):
            try:
                directory = self._open(path)
                try:
                    os.fchmod(directory, mode)
                    os.utime(directory, (seconds, seconds))
                finally:
                    os.close(directory)
            except OSError as error:
                raise _not_written(path, error) from error
        return self._left_out

    def _one(self, tar: tarfile.TarFile, member: tarfile.TarInfo, names: list[str]) -> None:
        *above, name = names
        if (member.ischr() or member.isblk()) and not self._how.is_trusting:
            self._leave_out(member.name)
            return
        try:
            directory = self._open("/".join(above))
            try:
                self._make(tar, member, directory, name)
            finally:
                os.close(directory)
        except OSError as error:
            raise _not_written(member.name, error) from error
        if member.isdir():
            path = "/".join(names)
            self._finished.pop(path, None)  # the last word on a directory counts, however many there are
            self._finished[path] = (self._mode(member), int(member.mtime))

    def _leave_out(self, name: str) -> None:
        if len(self._left_out) < _MOST_TOLD:
            self._left_out.append(name)

    def _make(self, tar: tarfile.TarFile, member: tarfile.TarInfo, directory: int, name: str) -> None:
        if member.isdir():
            self._directory(member, directory, name)
            return
        _clear(directory, name, member.name)
        if member.isreg():
            self._file(tar, member, directory, name)
        elif member.issym():
            os.symlink(member.linkname, name, dir_fd=directory)
            self._own(directory, name, member)
        elif member.islnk():
            *above, other = _names(member.linkname) or [""]
            place = self._open("/".join(above))
            try:
                os.link(other, name, src_dir_fd=place, dst_dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                raise InvalidInput(f"{member.name} is a hard link to {member.linkname}, which is missing") from None
            finally:
                os.close(place)
        elif member.ischr() or member.isblk() or member.isfifo():
            kind = stat.S_IFIFO if member.isfifo() else stat.S_IFCHR if member.ischr() else stat.S_IFBLK
            os.mknod(name, kind | self._mode(member), os.makedev(member.devmajor, member.devminor), dir_fd=directory)
            self._own(directory, name, member)
        else:
            self._leave_out(member.name)

    def _directory(self, member: tarfile.TarInfo, directory: int, name: str) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=directory)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                if not self._is_link_to_directory(directory, name):
                    raise Conflict(f"{member.name} is a directory, and a file is in its place") from None
                return
        place = os.open(name, _BELOW, dir_fd=directory)
        try:
            if (owner := self._owner(member)) is not None:
                os.fchown(place, *owner)
        finally:
            os.close(place)

    def _is_link_to_directory(self, directory: int, name: str) -> bool:
        """Where the target's own links are followed, one that leads to a directory stands for it."""
        return self._how.is_trusting and stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)

    def _file(self, tar: tarfile.TarFile, member: tarfile.TarInfo, directory: int, name: str) -> None:
        content = tar.extractfile(member)
        assert content is not None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=directory)
        with open(descriptor, "wb", buffering=0) as file:
            while data := content.read(_CHUNK):
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
            if (owner := self._owner(member)) is not None:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, self._mode(member))
            capability = member.pax_headers.get(_XATTR + _CAPABILITY)
            if capability is not None and self._how.is_trusting:
                os.setxattr(descriptor, _CAPABILITY, capability.encode("utf-8", "surrogateescape"))
            os.utime(descriptor, (int(member.mtime), int(member.mtime)))

    def _own(self, directory: int, name: str, member: tarfile.TarInfo) -> None:
        if (owner := self._owner(member)) is not None:
            os.chown(name, *owner, dir_fd=directory, follow_symlinks=False)

    def _owner(self, member: tarfile.TarInfo) -> tuple[int, int] | None:
        if self._how.owner is not None:
            return self._how.owner if os.geteuid() == 0 else None
        return (member.uid, member.gid)

    def _mode(self, member: tarfile.TarInfo) -> int:
        return member.mode & (0o7777 if self._how.is_trusting else 0o7777 & ~_SET_ID)


def _not_written(name: str, error: OSError) -> EstibaError:
    if error.errno == errno.EROFS:
        return Conflict(f"{name} cannot be written: its place is read-only", remedy="Choose another target.")
    message = f"{name} cannot be written: {(error.strerror or str(error)).lower()}"
    if error.errno in _NO_SPACE:
        return Unavailable(message, remedy="Make space, or copy less. What was copied until then is there.")
    if error.errno in _IN_THE_WAY:
        return Conflict(message, remedy="Look what lies there, or choose another target.")
    return Unavailable(message)


def _clear(directory: int, name: str, shown: str) -> None:
    """Take away what is in the place of a file, but for a directory."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(status.st_mode):
        raise Conflict(f"{shown} is a file, and a directory is in its place", remedy="Remove the directory first.")
    if is_mounted(name, directory=directory):
        # Another namespace's mount would silently be gone.
        raise Conflict(f"{shown} cannot be replaced: something is mounted there", remedy="Write to what is mounted.")
    os.unlink(name, dir_fd=directory)


def _names(path: str) -> list[str]:
    names = [name for name in path.split("/") if name not in ("", ".")]
    if ".." in names or "\0" in path:
        raise InvalidInput(f"the tar has an entry that leads out of its place: {path!r}")
    return names
