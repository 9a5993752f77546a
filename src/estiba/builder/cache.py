"""The build cache as the scheduler wants it, over the records of the store."""

from __future__ import annotations

from estiba.builder.keys import explain
from estiba.graph.protocols import CacheKey, Result
from estiba.graph.vertex import Vertex
from estiba.oci.digest import Digest
from estiba.store.store import Store


class StepCache:
    """`place` names the Dockerfile, so that a step is compared with the same step of the last build of it."""

    def __init__(self, store: Store, *, place: str, is_used: bool) -> None:
        self._store = store
        self._place = place
        self._is_used = is_used

    def get(self, key: CacheKey) -> Result | None:
        if not self._is_used:
            return None
        record = self._store.cache.get(key.digest)
        if record is None:
            return None
        if record.chain_id is None:
            return Result()
        if not self._store.snapshots.has(record.chain_id):
            return None
        return result_of(self._store, record.chain_id)

    def put(self, vertex: Vertex, key: CacheKey, result: Result) -> None:
        chain_id = Digest.parse(result.chain_id) if result.chain_id else None
        diff_id = Digest.parse(result.diff_ids[-1]) if result.diff_ids else None
        self._store.cache.put(key.digest, chain_id, diff_id, dict(key.parts), step=self._step(vertex))

    def explain(self, vertex: Vertex, key: CacheKey) -> str:
        if not self._is_used:
            return "run: the cache is not used"
        last = self._store.cache.last_for(self._step(vertex))
        return explain(last.parts, key.parts) if last else "run: never run before"

    def _step(self, vertex: Vertex) -> str:
        number, _, _ = vertex.name.partition("]")
        return f"{self._place} {number}]"


def result_of(store: Store, chain_id: Digest) -> Result:
    """The filesystem that a committed snapshot is."""
    chain = (*reversed(store.snapshots.parents(chain_id)), chain_id)
    diff_ids = tuple(str(store.snapshots.get(each).diff_id) for each in chain)
    return Result(str(chain_id), diff_ids)
