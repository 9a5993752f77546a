"""A tree becomes the tar of a layer, the same bytes for the same tree (image-spec, layer.md).

Reproducible: entries in the order of a walk with names sorted as bytes, hard links led by the first path of that order,
numeric owners without names, times as the policy says (0 for whiteouts, which are no files), extended attributes
sorted, nothing of the disk it lies on. Without privileges every file belongs to the caller, because it can belong to
nobody else: the caller's ids are written as 0, so that the layer is what root would have made.
An overlay's upper directory is read as what it means: a character device 0:0 is a whiteout (``.wh.NAME``), an opaque
directory begins with ``.wh..wh..opq``, and the overlay's own attributes are left out. Sockets are skipped, as tar
does. The root directory itself is no entry.
"""

from __future__ import annotations

import errno
import os
import stat

from estiba.errors import Conflict, InvalidInput
from estiba.layers.diff import ChangeSet
from estiba.layers.tar.blocks import BlockWriter
from estiba.layers.tar.header import (
    BLOCK,
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    END_OF_ARCHIVE,
    FIFO,
    HARD_LINK,
    REGULAR,
    SYMBOLIC_LINK,
    ZEROS,
    HeaderEncoder,
)
from estiba.values import NamedTuple

WHITEOUT_PREFIX = b".wh."
OPAQUE_MARKER = b".wh..wh..opq"

_OVERLAY_XATTRS = ("trusted.overlay.", "user.overlay.")
_KEPT_XATTRS = ("security.capability", "system.posix_acl_access", "system.posix_acl_default")
_WHITEOUT_MODE = 0o600


class TarPolicy(NamedTuple):
    """`epoch` is the time in Unix seconds that every entry gets; None keeps the modification times, as Docker does.

    `set_times` also sets the times of the tree itself to `epoch`, in the same walk.
    """

    epoch: int | None = None
    set_times: bool = False


class TarSummary(NamedTuple):
    """`size` is the tar's size in bytes, `entries` the number of files, directories, links and whiteouts in it,
    `content` the bytes of its files.
    """

    size: int
    entries: int
    content: int = 0


class ReservedName(InvalidInput):
    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path}: names that begin with .wh. mean a deletion in a layer, so this file cannot be stored",
            remedy="Rename the file, or remove it in the step that makes it.",
        )


class ChangedWhileRead(Conflict):
    def __init__(self, path: str, *, expected: int, found: int) -> None:
        super().__init__(
            f"{path} changed while it was packed: {expected} bytes announced, {found} read",
            remedy="Stop what is writing to it and try again.",
        )


def write_layer(tree: str, out: BlockWriter, policy: TarPolicy, *, only: ChangeSet | None = None) -> TarSummary:
    """Write the tree below the directory `tree` as a tar, end-of-archive blocks included, and finish `out`.

    Nobody else may change the tree meanwhile. With `only` just what changed is written, and whiteouts for what is
    deleted.

    Raises:
        ReservedName: a file's name begins with ``.wh.``.
        ChangedWhileRead: a file became shorter.
        InvalidInput: a path is too long, or the tree holds what a layer cannot express.
        OSError: the tree cannot be read or the target not be written.
    """
    walk = _Walk(out, policy, only)
    walk.directory(os.fsencode(tree), b"")
    out.write(END_OF_ARCHIVE)
    out.finish()
    return TarSummary(out.size, walk.entries, walk.content)


class _Walk:
    def __init__(self, out: BlockWriter, policy: TarPolicy, only: ChangeSet | None) -> None:
        self.entries = 0
        self.content = 0
        self._only = only
        self._out = out
        self._encode = HeaderEncoder().encode
        self._own = (os.geteuid(), os.getegid()) if os.geteuid() else (0, 0)
        self._epoch = policy.epoch
        self._touch = policy.epoch is not None and policy.set_times
        self._links: dict[tuple[int, int], bytes] = {}
        self._deleted: dict[bytes, list[bytes]] = {}
        for path in only.deleted if only else ():
            parent, slash, _ = path.rpartition(b"/")
            self._deleted.setdefault(parent + slash, []).append(path)

    def directory(self, path: bytes, name: bytes) -> None:
        """Everything below the directory `path`, whose entries' names begin with `name` ('' or ending in a slash)."""
        pending = [iter(self._sorted(path, name))]
        while pending:
            for child, entry in pending[-1]:
                if entry is None:
                    self._whiteout(child)
                elif self._entry(entry, child):
                    pending.append(iter(self._sorted(entry.path, child + b"/")))
                    break
            else:
                pending.pop()

    def _sorted(self, path: bytes, name: bytes) -> list[tuple[bytes, os.DirEntry[bytes] | None]]:
        """What is in a directory, sorted by name; None stands for something deleted."""
        try:
            with os.scandir(path) as found:
                entries: list[tuple[bytes, os.DirEntry[bytes] | None]] = [(name + e.name, e) for e in found]
        except OSError as error:
            raise _named(error, name) from error
        if self._only is not None:
            changed = self._only.changed
            entries = [pair for pair in entries if pair[0] in changed]
            entries += [(path, None) for path in self._deleted.get(name, ())]
        entries.sort(key=lambda pair: pair[0])
        return entries

    def _entry(self, entry: os.DirEntry[bytes], name: bytes) -> bool:
        """Write one entry; True for a directory, which is to be walked next."""
        status = entry.stat(follow_symlinks=False)
        mode = status.st_mode
        kind = stat.S_IFMT(mode)
        path = entry.path
        mtime = int(status.st_mtime_ns // 1_000_000_000) if self._epoch is None else self._epoch
        if kind == stat.S_IFCHR and status.st_rdev == 0:
            self._whiteout(name)
            return False
        if kind == stat.S_IFSOCK:
            return False
        if entry.name.startswith(WHITEOUT_PREFIX):
            raise ReservedName(os.fsdecode(name))
        xattrs, is_opaque, is_whiteout = _read_xattrs(path, name)
        if is_whiteout:
            self._whiteout(name)
            return False
        self.entries += 1
        encode, write = self._encode, self._out.write
        permissions = mode & 0o7777
        uid = 0 if status.st_uid == self._own[0] else status.st_uid
        gid = 0 if status.st_gid == self._own[1] else status.st_gid
        if kind == stat.S_IFDIR:
            write(encode(name + b"/", DIRECTORY, mode=permissions, uid=uid, gid=gid, mtime=mtime, xattrs=xattrs))
            if is_opaque:
                write(encode(name + b"/" + OPAQUE_MARKER, REGULAR, mode=_WHITEOUT_MODE))
        elif status.st_nlink > 1 and not self._is_first(status, name):
            first = self._links[status.st_dev, status.st_ino]
            write(encode(name, HARD_LINK, mode=permissions, uid=uid, gid=gid, mtime=mtime, link=first))
        elif kind == stat.S_IFREG:
            size = status.st_size
            self.content += size
            write(encode(name, REGULAR, mode=permissions, uid=uid, gid=gid, size=size, mtime=mtime, xattrs=xattrs))
            if size:
                self._content(path, name, size)
        elif kind == stat.S_IFLNK:
            link = os.readlink(path)
            write(encode(name, SYMBOLIC_LINK, mode=0o777, uid=uid, gid=gid, mtime=mtime, link=link, xattrs=xattrs))
        else:
            code = {stat.S_IFIFO: FIFO, stat.S_IFCHR: CHARACTER_DEVICE, stat.S_IFBLK: BLOCK_DEVICE}[kind]
            device = None if code == FIFO else (os.major(status.st_rdev), os.minor(status.st_rdev))
            write(
                encode(name, code, mode=permissions, uid=uid, gid=gid, mtime=mtime, device=device, xattrs=xattrs),
            )
        if self._touch:
            os.utime(path, (mtime, mtime), follow_symlinks=False)
        return kind == stat.S_IFDIR

    def _whiteout(self, name: bytes) -> None:
        parent, slash, last = name.rpartition(b"/")
        self._out.write(
            self._encode(parent + slash + WHITEOUT_PREFIX + last, REGULAR, mode=_WHITEOUT_MODE),
        )
        self.entries += 1

    def _is_first(self, status: os.stat_result, name: bytes) -> bool:
        key = (status.st_dev, status.st_ino)
        if key in self._links:
            return False
        self._links[key] = name
        return True

    def _content(self, path: bytes, name: bytes, size: int) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = self._out.read_from(descriptor, size)
        finally:
            os.close(descriptor)
        if found != size:
            raise ChangedWhileRead(os.fsdecode(name), expected=size, found=found)
        if size % BLOCK:
            self._out.write(ZEROS[size % BLOCK :])


def _read_xattrs(path: bytes, name: bytes) -> tuple[tuple[tuple[bytes, bytes], ...], bool, bool]:
    """The attributes that belong to the content, sorted; whether it is an opaque directory; a whiteout file."""
    try:
        found = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return (), False, False
        raise _named(error, name) from error
    if not found:
        return (), False, False
    kept: list[tuple[bytes, bytes]] = []
    is_opaque = is_whiteout = False
    for key in found:
        if key.startswith(_OVERLAY_XATTRS):
            value = os.getxattr(path, key, follow_symlinks=False)
            meaning = key.split(".", 2)[2]
            is_opaque = is_opaque or (meaning == "opaque" and value == b"y")
            is_whiteout = is_whiteout or meaning == "whiteout"
            if meaning in ("redirect", "metacopy"):
                raise InvalidInput(
                    f"{os.fsdecode(name)}: the overlay marked it as {meaning}, which a layer cannot express",
                    remedy="Mount the overlay with redirect_dir=off,metacopy=off.",
                )
        elif key.startswith("user.") or key in _KEPT_XATTRS:
            kept.append((os.fsencode(key), os.getxattr(path, key, follow_symlinks=False)))
    kept.sort()
    return tuple(kept), is_opaque, is_whiteout


def _named(error: OSError, name: bytes) -> OSError | InvalidInput:
    if error.errno == errno.ENAMETOOLONG:
        return InvalidInput(f"{os.fsdecode(name)[:200]}…: the path is too long ({len(name)} bytes)")
    return error
