"""Snapshots as whole copies, for where no overlay can be mounted: slow and large, and needs no privilege to unpack.

``snapshots/N/fs`` holds the complete tree of the stack. A copy shares its data with the original where the filesystem
can do that (FICLONE on btrfs, xfs, bcachefs).
"""

from __future__ import annotations

from estiba.errors import Conflict
from estiba.linux.mounts import Mount
from estiba.oci.digest import Digest
from estiba.store.snapshots.base import WHITEOUTS_DELETE, Change
from estiba.store.snapshots.copy_tree import copy_tree
from estiba.store.snapshots.recorded import RecordedSnapshots
from estiba.store.snapshots.trees import make_root


class CopyingSnapshotter(RecordedSnapshots):
    """A change is found by comparing the tree with its parent's."""

    kind = "copying"
    whiteouts = WHITEOUTS_DELETE

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

    def rebase(self, key: str, parent: Digest, *, take_root: bool) -> None:
        raise Conflict(f"snapshot {key} is a whole copy and cannot be put on top of {parent} now")

    def directories(self, chain_id: Digest) -> tuple[str, ...]:
        return (self._tree(chain_id),)

    def change(self, name: str | Digest) -> Change:
        record = self._records.get(name)
        return Change(self._tree(name), self._tree(record.parent) if record.parent else "")
