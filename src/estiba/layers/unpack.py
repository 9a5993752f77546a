"""Unpacking: the stream of a layer becomes a tree, and both its digests are verified on the way.

The tar is hostile. Nothing is ever done by a path: the directory of an entry is opened by the kernel inside the root
(openat2, RESOLVE_IN_ROOT and no magic links), where every symbolic link, `..` or absolute target leads back inside;
then the last component is made relative to that descriptor, exclusively and without following a link. What is in the
way is removed first. Names with `..` are refused altogether.

A layer needs no parent: whiteouts become what an overlay takes for them. What does depend on the layers below, hard
links to their files and the attributes of directories which the tar does not mention, is reported in the result.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from estiba.errors import Corrupt, EstibaError, InvalidInput, PermissionDenied, Unavailable
from estiba.layers.decompress import Readable, VerifiedStream
from estiba.layers.directories import Directories, Memory
from estiba.layers.tar.header import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    HARD_LINK,
    REGULAR,
    SYMBOLIC_LINK,
)
from estiba.layers.tar.reader import Entry, TarReader
from estiba.layers.tar.writer import OPAQUE_MARKER, WHITEOUT_PREFIX
from estiba.linux import writeback
from estiba.oci.digest import Digest
from estiba.values import NamedTuple

OVERLAY = "overlay"
USER_OVERLAY = "user-overlay"
DELETE = "delete"
IGNORE = "ignore"
_OPAQUE_XATTRS = {OVERLAY: "trusted.overlay.opaque", USER_OVERLAY: "user.overlay.opaque"}

_LONGEST_PATH = 4096
_LARGEST_MAJOR = (1 << 12) - 1
_LARGEST_MINOR = (1 << 20) - 1
_AUFS_PREFIX = b".wh..wh."
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KEPT_XATTRS = ("security.capability", "system.posix_acl_access", "system.posix_acl_default")


class UnpackLimits(NamedTuple):
    """The most that a layer may have: `size` in bytes of its tar, and of what its sparse files are with their holes;
    `entries`; bytes of `names` kept in memory.
    """

    size: int = 1 << 40
    entries: int = 20_000_000
    names: int = 1 << 28


class LowerLink(NamedTuple):
    """A hard link `name` to `target`, a file that this layer does not hold but perhaps one below."""

    name: str
    target: str


class UnpackResult(NamedTuple):
    """`digest` and `size` are those of the stream as it came, `diff_id` and `tar_size` those of the tar in it.

    `lower_links` and `implied` (directories that had to be made without an entry; the root, "", is not told) are left
    to do for whoever knows the layers below. `has_root` says whether there was an entry for the root;
    `content` are the bytes of the layer's files.
    """

    diff_id: Digest
    tar_size: int
    digest: Digest
    size: int
    compression: str
    entries: int
    lower_links: tuple[LowerLink, ...]
    implied: tuple[str, ...]
    has_root: bool
    content: int


class UnsafeEntry(InvalidInput):
    def __init__(self, name: bytes, reason: str) -> None:
        super().__init__(f"the layer holds an entry {os.fsdecode(name[:200])!r} {reason}")


class WrongDigest(Corrupt):
    def __init__(self, what: str, *, expected: object, found: object) -> None:
        super().__init__(f"{what}: expected {expected}, got {found}", remedy="Fetch it again.")


def unpack(
    stream: Readable,
    into: str,
    *,
    whiteouts: str,
    expected_diff_id: Digest | None = None,
    expected_digest: Digest | None = None,
    expected_size: int | None = None,
    limits: UnpackLimits | None = None,
) -> UnpackResult:
    """Unpack the layer in `stream` (plain, gzip or zstd) into the directory `into`, whose path is trusted.

    `whiteouts` is ``overlay`` or ``user-overlay`` (write them for the kernel's overlay), ``delete`` (`into` holds the
    tree of the layers below: delete from it) or ``ignore`` (there is nothing below). Without privileges files belong
    to the caller and attributes that need some are left out. After an exception `into` holds a part of the layer,
    which is to be removed.

    Raises:
        UnsafeEntry: an entry that no layer may have. BadTar, DamagedStream, TooLarge: as their names say.
        WrongDigest: a digest or the size is not as expected.
        PermissionDenied: a device without being root. Unavailable: no space, or the disk failed.
    """
    limits = limits or UnpackLimits()
    verified = VerifiedStream(stream, limit=limits.size)
    reader = TarReader(verified.pieces(), most_sparse=limits.size)
    memory = Memory(limits.names)
    with Directories(into, memory) as directories:
        tree = _Tree(directories, reader, whiteouts, memory)
        entry = None
        count = 0
        try:
            for entry in reader.entries():
                count += 1
                if count > limits.entries:
                    raise InvalidInput(f"the layer has more than {limits.entries} entries")
                tree.add(entry)
            tree.finish()
        except OSError as error:
            raise _translated(error, entry) from error
    reader.drain()
    while verified.read():  # what follows the end of the compressed stream belongs to the blob's digest
        pass
    if expected_size is not None and verified.size != expected_size:
        raise WrongDigest("the layer's size", expected=f"{expected_size} bytes", found=f"{verified.size} bytes")
    if expected_digest is not None and verified.digest != expected_digest:
        raise WrongDigest("the layer's digest", expected=expected_digest, found=verified.digest)
    if expected_diff_id is not None and verified.diff_id != expected_diff_id:
        raise WrongDigest("the layer's diff ID", expected=expected_diff_id, found=verified.diff_id)
    return UnpackResult(
        verified.diff_id,
        verified.tar_size,
        verified.digest,
        verified.size,
        verified.compression,
        count,
        tuple(tree.lower_links),
        tuple(os.fsdecode(path) for path in directories.implied),
        tree.has_root,
        tree.content,
    )


class _Tree:
    """The tree while it grows. Paths are normalised: bytes, relative, without ``.``; the root is ``b""``."""

    def __init__(self, directories: Directories, reader: TarReader, whiteouts: str, memory: Memory) -> None:
        self._memory = memory
        self.lower_links: list[LowerLink] = []
        self.content = 0
        self.has_root = False
        self._directories = directories
        self._reader = reader
        self._whiteouts = whiteouts
        self._opaque = _OPAQUE_XATTRS.get(whiteouts)
        self._is_root = os.geteuid() == 0
        self._ids = (os.geteuid(), os.getegid())
        self._umask = _umask()
        # Paths of directories -> (mode, mtime), set last: making what is in them changes the time, and needs the mode.
        self._late: dict[bytes, tuple[int, int]] = {}
        # With "delete": what this layer has made itself, which its own opaque markers do not delete.
        self._made: set[bytes] = set()
        self._only_ours: set[bytes] = set()

    def add(self, entry: Entry) -> None:
        path = normalised(entry.name)
        parent, _, name = path.rpartition(b"/")
        if name.startswith(WHITEOUT_PREFIX):
            self._whiteout(path, parent, name)
            return
        if self._whiteouts == DELETE:
            self._remember(path)
        kind = entry.kind
        if not path:
            if kind != DIRECTORY:
                raise UnsafeEntry(entry.name, "that is no directory in the place of the root")
            self.has_root = True
            self._directory_attributes(entry, path, self._directories.root, b".")
            return
        place = self._directories.open(parent)
        if kind == REGULAR:
            self._regular(entry, place, name)
        elif kind == DIRECTORY:
            self._directory(entry, place, name, path)
        elif kind == SYMBOLIC_LINK:
            self._exclusively(lambda: os.symlink(entry.link, name, dir_fd=place), place, name)
            self._attributes(entry, place, name)
        elif kind == HARD_LINK:
            self._hard_link(entry, place, name, path)
        else:
            self._special(entry, place, name, path)

    def finish(self) -> None:
        """Set what must come last on directories, those inside before those around them."""
        for path, (mode, mtime_ns) in sorted(self._late.items(), reverse=True):
            parent, _, name = path.rpartition(b"/")
            try:
                place = self._directories.open(parent, make=False)
                if not stat.S_ISDIR(os.stat(name or b".", dir_fd=place, follow_symlinks=False).st_mode):
                    continue
            except (FileNotFoundError, NotADirectoryError):
                continue  # replaced by a later entry, or reached by a link that was
            if mode >= 0:
                os.chmod(name or b".", mode, dir_fd=place)
            os.utime(name or b".", ns=(mtime_ns, mtime_ns), dir_fd=place, follow_symlinks=False)

    def _regular(self, entry: Entry, place: int, name: bytes) -> None:
        mode = entry.mode
        try:
            descriptor = os.open(name, _NEW_FILE, mode & 0o777, dir_fd=place)
        except FileExistsError:
            self._clear(place, name)
            descriptor = os.open(name, _NEW_FILE, mode & 0o777, dir_fd=place)
        try:
            if entry.size:
                self._reader.content_to(descriptor)
                if entry.size >= writeback.STEP:
                    writeback.begin(descriptor)
                self.content += entry.size
            if self._is_root and (entry.uid, entry.gid) != self._ids:
                os.fchown(descriptor, entry.uid, entry.gid)
            if mode & self._umask or mode & 0o7000:
                os.fchmod(descriptor, mode)
            if entry.xattrs:
                self._xattrs(entry, descriptor)
            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(descriptor)

    def _directory(self, entry: Entry, place: int, name: bytes, path: bytes) -> None:
        is_opaque = False
        try:
            os.mkdir(name, 0o700, dir_fd=place)
        except FileExistsError:
            status = os.stat(name, dir_fd=place, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                # Deleted and made anew in one layer: what lies below must not show through.
                is_opaque = self._opaque is not None and _is_whiteout(status)
                self._clear(place, name)
                os.mkdir(name, 0o700, dir_fd=place)
        self._directories.is_explicit(path)
        self._directory_attributes(entry, path, place, name)
        if is_opaque:
            self._make_opaque(path)

    def _directory_attributes(self, entry: Entry, path: bytes, place: int, name: bytes) -> None:
        mode = entry.mode
        self._memory.take(path)
        if self._is_root:
            os.chown(name, entry.uid, entry.gid, dir_fd=place, follow_symlinks=False)
            os.chmod(name, mode, dir_fd=place)
            self._late[path] = (-1, entry.mtime_ns)
        else:
            os.chmod(name, mode | 0o700, dir_fd=place)
            self._late[path] = (mode if mode & 0o700 != 0o700 else -1, entry.mtime_ns)
        if entry.xattrs:
            descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
            try:
                self._xattrs(entry, descriptor)
            finally:
                os.close(descriptor)

    def _hard_link(self, entry: Entry, place: int, name: bytes, path: bytes) -> None:
        target = normalised(entry.link)
        if not target or target.rpartition(b"/")[2].startswith(WHITEOUT_PREFIX):
            raise UnsafeEntry(entry.name, f"that is a hard link to {os.fsdecode(entry.link)!r}")
        if target == path:
            raise UnsafeEntry(entry.name, "that is a hard link to itself")
        parent, _, last = target.rpartition(b"/")
        try:
            source = self._directories.open(parent, make=False, keep=place)
            status = os.stat(last, dir_fd=source, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            self._exists_below(entry, path, target)
            return
        if stat.S_ISDIR(status.st_mode):
            raise UnsafeEntry(entry.name, "that is a hard link to a directory")
        if _is_whiteout(status) and self._opaque:
            raise UnsafeEntry(entry.name, "that is a hard link to a deleted file")
        try:
            os.link(last, name, src_dir_fd=source, dst_dir_fd=place, follow_symlinks=False)
        except FileExistsError:
            self._clear(place, name)
            source = self._directories.open(parent, make=False, keep=place)
            os.link(last, name, src_dir_fd=source, dst_dir_fd=place, follow_symlinks=False)

    def _exists_below(self, entry: Entry, path: bytes, target: bytes) -> None:
        if self._whiteouts in (DELETE, IGNORE):
            raise UnsafeEntry(entry.name, f"that is a hard link to {os.fsdecode(target)!r}, which is not there")
        self._memory.take(path + target)
        self.lower_links.append(LowerLink(os.fsdecode(path), os.fsdecode(target)))

    def _special(self, entry: Entry, place: int, name: bytes, path: bytes) -> None:
        kinds = {FIFO: stat.S_IFIFO, CHARACTER_DEVICE: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK}
        device = 0
        if entry.kind != FIFO:
            if entry.kind == CHARACTER_DEVICE and (entry.major, entry.minor) == (0, 0):
                raise UnsafeEntry(entry.name, "that is device 0:0, which an overlay takes for a deletion")
            if not self._is_root:
                raise PermissionDenied(
                    f"the layer holds a device, {os.fsdecode(path)!r}, which only root may make",
                    remedy="Run as root to use this image.",
                )
            if entry.major > _LARGEST_MAJOR or entry.minor > _LARGEST_MINOR:
                raise UnsafeEntry(entry.name, f"that is device {entry.major}:{entry.minor}, which cannot be")
            device = os.makedev(entry.major, entry.minor)
        mode = kinds[entry.kind] | (entry.mode & 0o777)
        self._exclusively(lambda: os.mknod(name, mode, device, dir_fd=place), place, name)
        self._attributes(entry, place, name)

    def _attributes(self, entry: Entry, place: int, name: bytes) -> None:
        """Owner, mode and time of what has just been made and is no directory and no regular file."""
        if self._is_root:
            os.chown(name, entry.uid, entry.gid, dir_fd=place, follow_symlinks=False)
        if entry.kind != SYMBOLIC_LINK:
            os.chmod(name, entry.mode, dir_fd=place)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=place, follow_symlinks=False)

    def _xattrs(self, entry: Entry, descriptor: int) -> None:
        for key, value in entry.xattrs:
            if key.startswith("user.overlay.") or not (key.startswith("user.") or key in _KEPT_XATTRS):
                continue  # the overlay's own would change what the tree means; others belong to a machine
            try:
                os.setxattr(descriptor, key, value)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EPERM) or (
                    key == "security.capability" and self._is_root
                ):
                    raise

    # What deletes

    def _whiteout(self, path: bytes, parent: bytes, name: bytes) -> None:
        if name == OPAQUE_MARKER:
            if self._whiteouts == DELETE:
                self._delete_others(parent)
            elif self._opaque:
                self._make_opaque(parent)
            return
        if name.startswith(_AUFS_PREFIX):
            return  # aufs's own files (image-spec, layer.md, "Whiteouts": reserved)
        hidden = name[len(WHITEOUT_PREFIX) :]
        if hidden in (b"", b".", b".."):
            raise UnsafeEntry(path, "that deletes no file")
        if self._whiteouts == IGNORE:
            return
        place_path = parent + b"/" + hidden if parent else hidden
        if self._whiteouts == DELETE:
            if place_path not in self._made:
                self._delete(parent, hidden)
            return
        place = self._directories.open(parent)
        try:
            os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=place)
        except FileExistsError:
            # This layer has made it: only what lies below is deleted.
            if stat.S_ISDIR(os.stat(hidden, dir_fd=place, follow_symlinks=False).st_mode):
                self._make_opaque(place_path)

    def _delete(self, parent: bytes, name: bytes) -> None:
        try:
            place = self._directories.open(parent, make=False)
        except (FileNotFoundError, NotADirectoryError):
            return
        self._clear(place, name)

    def _delete_others(self, parent: bytes) -> None:
        """Delete what is in the directory `parent` and was not made by this layer."""
        pending = [parent]
        while pending:
            directory = pending.pop()
            if directory in self._only_ours:
                continue
            self._only_ours.add(directory)
            place = self._directories.open(directory)
            listing = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place)
            try:
                names = [os.fsencode(name) for name in os.listdir(listing)]
                for name in names:
                    path = directory + b"/" + name if directory else name
                    if path not in self._made:
                        self._clear(listing, name)
                    elif stat.S_ISDIR(os.stat(name, dir_fd=listing, follow_symlinks=False).st_mode):
                        pending.append(path)
            finally:
                os.close(listing)

    def _make_opaque(self, path: bytes) -> None:
        assert self._opaque is not None
        place = self._directories.open(path)
        os.setxattr(f"/proc/self/fd/{place}", self._opaque, b"y")

    def _remember(self, path: bytes) -> None:
        while path and path not in self._made:
            self._memory.take(path)
            self._made.add(path)
            path = path.rpartition(b"/")[0]

    def _exclusively(self, make: Callable[[], None], place: int, name: bytes) -> None:
        try:
            make()
        except FileExistsError:
            self._clear(place, name)
            make()

    def _clear(self, place: int, name: bytes) -> None:
        """Remove what is in the way at `name`, with all below it."""
        self._directories.remove(place, name)


def normalised(name: bytes) -> bytes:
    """The path of an entry as layers mean it, relative to the root: ``./a//b/`` is ``a/b``.

    Raises:
        UnsafeEntry: ``..`` in it, or it is too long.
    """
    if len(name) > _LONGEST_PATH:
        raise UnsafeEntry(name, f"whose path has {len(name)} bytes; at most {_LONGEST_PATH} are allowed")
    if name.startswith(b"./"):  # as GNU tar begins every one
        name = name[2:]
    if b"//" in name or b"/." in name or name.startswith(b"."):
        parts = name.split(b"/")
        if b".." in parts:
            raise UnsafeEntry(name, "with .. in its path")
        return b"/".join(part for part in parts if part not in (b"", b"."))
    return name.strip(b"/")


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _umask() -> int:
    """This process's umask, read without changing it even for a moment."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o777


def _translated(error: OSError, entry: Entry | None) -> EstibaError:
    what = f"entry {os.fsdecode(entry.name[:200])!r}" if entry else "the layer"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(
            f"no space is left on the disk for {what}",
            remedy="Free some: `estiba gc` removes what nothing needs, `estiba df` shows what takes how much.",
        )
    if error.errno in (errno.EPERM, errno.EACCES):
        return PermissionDenied(f"{what}: {error.strerror}", remedy="Run as root to use this image.")
    if error.errno in (
        errno.ENOTDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.EISDIR,
        errno.ENOENT,
        errno.EEXIST,
        errno.EINVAL,
        errno.EXDEV,
        errno.EMLINK,
        errno.EOVERFLOW,
    ):
        return UnsafeEntry(entry.name if entry else b"", f"that cannot be made: {error.strerror}")
    return Unavailable(f"{what}: {error.strerror}")
