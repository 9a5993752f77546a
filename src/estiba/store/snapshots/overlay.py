"""Snapshots as overlay filesystems: a layer is a directory of its own change, a stack is mounted from them.

``snapshots/N/fs`` is the upper directory while the snapshot is active, and one of the lower ones afterwards;
``snapshots/N/work`` is the kernel's work directory. The options keep the upper directory a plain change that `layers`
can pack: no renames by reference (redirect_dir), no copies of metadata only (metacopy), no index of hard links.
"""

from __future__ import annotations

import os

from estiba.linux.mounts import Mount
from estiba.linux.overlay import join_lowers
from estiba.oci.digest import Digest
from estiba.store.snapshots.base import (
    WHITEOUTS_AS_OVERLAY,
    WHITEOUTS_AS_USER_OVERLAY,
    Change,
)
from estiba.store.snapshots.recorded import RecordedSnapshots
from estiba.store.snapshots.records import SnapshotRecords
from estiba.store.snapshots.trees import copy_root, make_root, remove_tree

_OPTIONS = ("index=off", "metacopy=off", "redirect_dir=off")
# userxattr switches redirect_dir off by itself, and refuses to be told so.
_USER_OPTIONS = ("index=off", "metacopy=off", "userxattr")


class OverlaySnapshotter(RecordedSnapshots):
    """`user_xattr`: mark opaque directories with user.overlay.* because trusted.* needs privileges (user namespace)."""

    kind = "overlay"

    def __init__(self, records: SnapshotRecords, *, user_xattr: bool = False) -> None:
        super().__init__(records)
        self.whiteouts = WHITEOUTS_AS_USER_OVERLAY if user_xattr else WHITEOUTS_AS_OVERLAY
        self._options = _USER_OPTIONS if user_xattr else _OPTIONS

    def prepare(self, key: str, parent: Digest | None) -> tuple[Mount, ...]:
        record = self._records.insert(key, parent)
        directory = self._records.directory(record.number)
        try:
            lowers = self.directories(parent) if parent else ()
            make_root(f"{directory}/fs", like=lowers[0] if lowers else "")
            os.mkdir(f"{directory}/work", 0o700)
        except BaseException:
            self._records.delete(key)
            raise
        return self._active(directory, lowers)

    def mounts(self, key: str) -> tuple[Mount, ...]:
        record = self._records.get(key)
        lowers = self.directories(record.parent) if record.parent else ()
        return self._active(self._records.directory(record.number), lowers)

    def view(self, chain_id: Digest) -> tuple[Mount, ...]:
        lowers = self.directories(chain_id)
        if len(lowers) == 1:
            return (Mount("bind", lowers[0], "", ("bind", "ro")),)
        return (Mount("overlay", "overlay", "", ("ro", f"lowerdir={join_lowers(lowers)}", *self._options)),)

    def rebase(self, key: str, parent: Digest, *, take_root: bool) -> None:
        record = self._records.get(key)
        lower = self.directories(parent)[0]
        self._records.rebase(key, parent)
        if take_root:
            copy_root(lower, f"{self._records.directory(record.number)}/fs")

    def commit(self, key: str, *, chain_id: Digest, diff_id: Digest, size: int, sync: bool = True) -> bool:
        work = f"{self._directory(key)}/work"
        is_ours = super().commit(key, chain_id=chain_id, diff_id=diff_id, size=size, sync=sync)
        if is_ours:
            remove_tree(work)
        return is_ours

    def directories(self, chain_id: Digest) -> tuple[str, ...]:
        return tuple(f"{self._records.directory(r.number)}/fs" for r in self._records.chain(chain_id))

    def change(self, name: str | Digest) -> Change:
        return Change(self._tree(name), "")

    def _active(self, directory: str, lowers: tuple[str, ...]) -> tuple[Mount, ...]:
        if not lowers:
            return (Mount("bind", f"{directory}/fs", "", ("bind", "rw")),)
        places = (f"lowerdir={join_lowers(lowers)}", f"upperdir={directory}/fs", f"workdir={directory}/work")
        return (Mount("overlay", "overlay", "", (*places, *self._options)),)
