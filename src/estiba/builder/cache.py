"""The build cache as the scheduler wants it, over the records of the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from estiba.errors import EstibaError
from estiba.graph.protocols import CacheKey, Result
from estiba.graph.vertex import SourceImage, Vertex
from estiba.oci.digest import Digest
from estiba.store.store import Store

if TYPE_CHECKING:
    from estiba.builder.record import BuildRecord, StepRecord

_NOT_USED = "the cache is not used"
_UNKNOWN = "what it was made of the last time is no longer known"
_LOOKED_AT = 5
"""How many earlier builds of a Dockerfile are looked through for a step."""


class CacheMissed(EstibaError):
    """A step was to come from the cache, and the cache does not have it; `causes` tell why, the weightiest first."""

    def __init__(self, place: str, causes: Sequence[str]) -> None:
        more = "".join(f"\n    {cause}" for cause in causes[1:])
        super().__init__(
            f"{place}\nthe cache does not have this step: {causes[0]}{more}", remedy="Build it without --require-cache."
        )
        self.causes = tuple(causes)


class StepCache:
    """`place` names the Dockerfile, so that a step is compared with the same step of the last builds of it.

    `steps` are all of the build, and `images` the IDs of its base images by reference. `tell` hears why a step is not
    in the cache. `requires` gives the place of a step where one that is not in the cache is an error.
    """

    def __init__(
        self,
        store: Store,
        *,
        place: str,
        is_used: bool,
        steps: Sequence[Vertex],
        images: Mapping[str, str],
        tell: Callable[[Vertex, tuple[str, ...]], None],
        requires: Callable[[Vertex], str] | None = None,
    ) -> None:
        self._store = store
        self._place = place
        self._is_used = is_used
        self._steps = steps
        self._images = images
        self._tell = tell
        self._requires = requires
        self._builds: list[BuildRecord] | None = None

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
        """Why a step is run.

        Raises:
            CacheMissed: every step was to come from the cache.
        """
        from estiba.builder.explanations import summary

        causes = self._causes(vertex, key) if self._is_used else (_NOT_USED,)
        self._tell(vertex, causes)
        if self._requires is not None:
            raise CacheMissed(self._requires(vertex), causes)
        return summary(causes) if self._is_used else f"run: {_NOT_USED}"

    def _causes(self, vertex: Vertex, key: CacheKey) -> tuple[str, ...]:
        from estiba.builder.explanations import NEVER, REMOVED, SOURCE, causes

        build, step = self._earlier(vertex)
        if build is None or step is None:
            last = self._store.cache.last_for(self._step(vertex)) if build is None else None
            return causes(last.parts, key.parts) if last else (NEVER,)
        if step.key == key.digest:
            return (REMOVED,)
        before = self._store.cache.peek(step.key)
        text = (step.source, vertex.source)
        moved = self._moved(vertex, build, step)
        if before is None:
            return causes({}, (), text=text) if step.source != vertex.source else (moved or _UNKNOWN,)
        found = causes(before.parts, key.parts, text=text, moved=moved)
        return tuple(self._copied(vertex, build) or cause if cause == SOURCE else cause for cause in found)

    def _earlier(self, vertex: Vertex) -> tuple[BuildRecord | None, StepRecord | None]:
        """The last build that ran this step or found it; None, None where this Dockerfile was never built before."""
        from estiba.builder.explanations import same_step
        from estiba.builder.record import BuildRecord

        if self._builds is None:
            self._builds = [BuildRecord.read(each) for each in self._store.builds.last_of(self._place, _LOOKED_AT)]
        now = [each for each in self._steps if each.stage == vertex.stage and each.source]
        position = next((number for number, each in enumerate(now) if each.digest == vertex.digest), -1)
        for build in self._builds:
            steps = [step for step in build.steps if step.source]
            steps = [step for step in steps if step.stage == vertex.stage] or steps
            found = same_step([step.source for step in steps], [each.source for each in now], position)
            if found is not None and steps[found].key:
                return build, steps[found]
        return (self._builds[0] if self._builds else None), None

    def _moved(self, vertex: Vertex, build: BuildRecord, step: StepRecord) -> str:
        """How the base image that a step stands on is another than in `build`; "" where it is none or the same."""
        from estiba.oci.reference import Reference

        operation = vertex.inputs[0].operation
        if not isinstance(operation, SourceImage) or not step.base:
            return ""
        if step.base != operation.reference:
            names = (Reference.parse(each).familiar for each in (step.base, operation.reference))
            return f"the base image is another: {' → '.join(names)}"
        moved = self._other(operation.reference, build)
        return f"the base image moved: {moved}" if moved else ""

    def _copied(self, vertex: Vertex, build: BuildRecord) -> str:
        """How the image that a step copies from is another than in `build`; "" where it is a stage, or the same."""
        for source in vertex.inputs[1:]:
            if isinstance(source.operation, SourceImage) and (moved := self._other(source.operation.reference, build)):
                return f"the image that it copies from moved: {moved}"
        return ""

    def _other(self, reference: str, build: BuildRecord) -> str:
        """``NAME: DIGEST → DIGEST`` of an image that is another than in `build`, else ""."""
        from estiba.builder.record import short
        from estiba.oci.reference import Reference

        before, now = build.images.get(reference, ""), self._images.get(reference, "")
        if not before or before == now:
            return ""
        return f"{Reference.parse(reference).familiar}: {short(before)} → {short(now)}"

    def _step(self, vertex: Vertex) -> str:
        number, _, _ = vertex.name.partition("]")
        return f"{self._place} {number}]"


def result_of(store: Store, chain_id: Digest) -> Result:
    """The filesystem that a committed snapshot is."""
    chain = (*reversed(store.snapshots.parents(chain_id)), chain_id)
    diff_ids = tuple(str(store.snapshots.get(each).diff_id) for each in chain)
    return Result(str(chain_id), diff_ids)
