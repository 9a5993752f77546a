"""What snapshotters have in common: the records in the database, and ``snapshots/N/fs`` as the tree of each."""

from __future__ import annotations

from estiba.oci.digest import Digest
from estiba.store.snapshots.base import NoSuchSnapshot, SnapshotRecord, Usage
from estiba.store.snapshots.records import SnapshotRecords
from estiba.store.snapshots.trees import measure


class RecordedSnapshots:
    """The part of `Snapshotter` that does not depend on how a stack is raised."""

    def __init__(self, records: SnapshotRecords) -> None:
        self._records = records

    def writable(self, key: str) -> str:
        return self._tree(key)

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

    def get(self, name: str | Digest) -> SnapshotRecord:
        return self._records.get(name)

    def list(self) -> tuple[SnapshotRecord, ...]:
        return self._records.list()

    def usage(self, name: str | Digest) -> Usage:
        return measure(self._tree(name))

    def doubtful(self) -> tuple[Digest, ...]:
        return self._records.doubtful()

    def discard_doubtful(self) -> None:
        self._records.discard_doubtful()

    def give_up(self, chain_ids: tuple[Digest, ...]) -> None:
        self._records.give_up(chain_ids)

    def strays(self) -> tuple[str, ...]:
        return self._records.strays()

    def _directory(self, name: str | Digest) -> str:
        return self._records.directory(self._records.get(name).number)

    def _tree(self, name: str | Digest) -> str:
        return f"{self._directory(name)}/fs"
