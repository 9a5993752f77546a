"""Snapshots as whole copies, for where no overlay can be mounted: slow and large, and needs no privilege to unpack.

``snapshots/N/fs`` holds the complete tree of the stack. A copy shares its data with the original where the filesystem
can do that (FICLONE on btrfs, xfs, bcachefs).
"""

from __future__ import annotations

from estiba.errors import Conflict
from estiba.linux.mounts import Mount
from estiba.oci.digest import Digest
from estiba.store.snapshots.base import WHITEOUTS_DELETE, Change, NoSuchSnapshot, SnapshotRecord, Usage
from estiba.store.snapshots.copy_tree import copy_tree
from estiba.store.snapshots.records import SnapshotRecords
from estiba.store.snapshots.trees import make_root, measure


class CopyingSnapshotter:
    """A change is found by comparing the tree with its parent's."""

    kind = "copying"
    whiteouts = WHITEOUTS_DELETE

    def __init__(self, records: SnapshotRecords) -> None:
        self._records = records

    def prepare(self, key: str, parent: Digest | None) -> tuple[Mount, ...]:
        record = self._records.insert(key, parent)
        target = f"{self._records.directory(record.number)}/fs"
        try:
            source = self._tree(parent) if parent else ""
            make_root(target, like=source)
            if source:
                copy_tree(source, target)
        except BaseException:
            self._records.delete(key)
            raise
        return (Mount("bind", target, "", ("bind", "rw")),)

    def mounts(self, key: str) -> tuple[Mount, ...]:
        return (Mount("bind", self._tree(key), "", ("bind", "rw")),)

    def view(self, chain_id: Digest) -> tuple[Mount, ...]:
        return (Mount("bind", self._tree(chain_id), "", ("bind", "ro")),)

    def writable(self, key: str) -> str:
        return self._tree(key)

    def rebase(self, key: str, parent: Digest, *, take_root: bool) -> None:
        raise Conflict(f"snapshot {key} is a whole copy and cannot be put on top of {parent} now")

    def commit(self, key: str, *, chain_id: Digest, diff_id: Digest, size: int, sync: bool = True) -> bool:
        return self._records.commit(key, chain_id=chain_id, diff_id=diff_id, size=size, sync=sync)

    def sync(self) -> None:
        self._records.sync()

    def remove(self, name: str | Digest) -> None:
        self._records.delete(name)

    def forget(self, name: str | Digest) -> None:
        self._records.forget(name)

    def has(self, chain_id: Digest) -> bool:
        try:
            self._records.get(chain_id)
        except NoSuchSnapshot:
            return False
        return True

    def parents(self, chain_id: Digest) -> tuple[Digest, ...]:
        return tuple(r.chain_id for r in self._records.chain(chain_id)[1:] if r.chain_id)

    def directories(self, chain_id: Digest) -> tuple[str, ...]:
        return (self._tree(chain_id),)

    def change(self, name: str | Digest) -> Change:
        record = self._records.get(name)
        tree = f"{self._records.directory(record.number)}/fs"
        return Change(tree, self._tree(record.parent) if record.parent else "")

    def get(self, name: str | Digest) -> SnapshotRecord:
        return self._records.get(name)

    def list(self) -> tuple[SnapshotRecord, ...]:
        return self._records.list()

    def usage(self, name: str | Digest) -> Usage:
        return measure(self._tree(name))

    def strays(self) -> tuple[str, ...]:
        return self._records.strays()

    def _tree(self, name: str | Digest) -> str:
        return f"{self._records.directory(self._records.get(name).number)}/fs"
