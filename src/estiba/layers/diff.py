"""The change between two whole trees, for snapshots that are copies: what an overlay's upper directory would hold."""

from __future__ import annotations

import errno
import os
import stat

from estiba.values import NamedTuple

_CHUNK = 1 << 20


class ChangeSet(NamedTuple):
    """Paths relative to the root, as bytes: `changed` with all directories on the way to a change, and `deleted`."""

    changed: frozenset[bytes]
    deleted: frozenset[bytes]


COMPARE = "compare"
IGNORE = "ignore"
RESTORE = "restore"


def changes_between(base: str, tree: str, *, times: str = COMPARE) -> ChangeSet:
    """What must be done to `base` to make it `tree`: contents, kinds, owners, modes, times, extended attributes.

    `times` says what another modification time alone means: ``compare``, a change; ``ignore``, nothing; ``restore``,
    nothing, and `tree` gets the time of `base` back, so that a later comparison of times agrees.
    Contents are compared byte by byte, since a normalised time says nothing about them. A file that shares its inode
    with a changed one is changed too, so that hard links stay together.

    Raises:
        OSError: a tree cannot be read.
    """
    comparison = _Comparison(times)
    comparison.directories(os.fsencode(base), os.fsencode(tree), b"")
    return comparison.result()


class _Comparison:
    def __init__(self, times: str) -> None:
        self._times = times
        self._changed: set[bytes] = set()
        self._deleted: set[bytes] = set()
        self._names: dict[tuple[int, int], list[bytes]] = {}

    def result(self) -> ChangeSet:
        for names in self._names.values():
            if not self._changed.isdisjoint(names):
                for name in names:
                    self._mark(name)
        return ChangeSet(frozenset(self._changed), frozenset(self._deleted))

    def directories(self, base: bytes, tree: bytes, name: bytes) -> None:
        """Compare all that is in two directories; `name` is their path, "" or ending in a slash."""
        pending: list[tuple[bytes, bytes, bytes]] = [(base, tree, name)]
        while pending:
            base, tree, name = pending.pop()
            old = _listing(base)
            new = _listing(tree)
            for bare in old.keys() - new.keys():
                self._deleted.add(name + bare)
                self._mark(name[:-1])
            for bare, entry in new.items():
                child = name + bare
                status = entry.stat(follow_symlinks=False)
                is_directory = stat.S_ISDIR(status.st_mode)
                if status.st_nlink > 1 and not is_directory:
                    self._names.setdefault((status.st_dev, status.st_ino), []).append(child)
                before = old.get(bare)
                if before is None:
                    self._mark(child)
                    if is_directory:
                        self._everything(entry.path, child + b"/")
                    continue
                old_status = before.stat(follow_symlinks=False)
                if _differs(before, old_status, entry, status):
                    self._mark(child)
                elif old_status.st_mtime_ns != status.st_mtime_ns:
                    self._other_time(entry, child, old_status.st_mtime_ns)
                if not is_directory:
                    continue
                if before.is_dir(follow_symlinks=False):
                    pending.append((before.path, entry.path, child + b"/"))
                else:
                    self._everything(entry.path, child + b"/")

    def _everything(self, path: bytes, name: bytes) -> None:
        pending = [(path, name)]
        while pending:
            path, name = pending.pop()
            for bare, entry in _listing(path).items():
                child = name + bare
                self._changed.add(child)
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    pending.append((entry.path, child + b"/"))
                elif status.st_nlink > 1:
                    self._names.setdefault((status.st_dev, status.st_ino), []).append(child)

    def _other_time(self, entry: os.DirEntry[bytes], child: bytes, mtime_ns: int) -> None:
        if self._times == COMPARE:
            self._mark(child)
        elif self._times == RESTORE:
            os.utime(entry.path, ns=(mtime_ns, mtime_ns), follow_symlinks=False)

    def _mark(self, path: bytes) -> None:
        """Note a change, and the directories on the way to it."""
        while path and path not in self._changed:
            self._changed.add(path)
            path = path.rpartition(b"/")[0]


def _listing(path: bytes) -> dict[bytes, os.DirEntry[bytes]]:
    with os.scandir(path) as found:
        return {entry.name: entry for entry in found}


def _differs(
    before: os.DirEntry[bytes], old: os.stat_result, entry: os.DirEntry[bytes], status: os.stat_result
) -> bool:
    """Whether anything but the modification time is different."""
    if (old.st_mode, old.st_uid, old.st_gid, old.st_rdev) != (
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_rdev,
    ):
        return True
    if stat.S_ISLNK(status.st_mode) and os.readlink(before.path) != os.readlink(entry.path):
        return True
    if _xattrs(before.path) != _xattrs(entry.path):
        return True
    return stat.S_ISREG(status.st_mode) and (
        old.st_size != status.st_size or not _same_content(before.path, entry.path)
    )


def _xattrs(path: bytes) -> dict[str, bytes]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in names}


def _same_content(before: bytes, after: bytes) -> bool:
    with open(before, "rb", buffering=0) as one, open(after, "rb", buffering=0) as other:
        while True:
            piece = one.read(_CHUNK)
            if piece != other.read(_CHUNK):
                return False
            if not piece:
                return True
