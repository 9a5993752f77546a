"""The record of a build: what each step was, whether the cache knew it, and why not."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from threading import Lock
from types import TracebackType

from estiba.dockerfile.instructions import Copy, Run, Workdir
from estiba.errors import EstibaError, Unavailable
from estiba.graph.cancellation import Cancelled
from estiba.graph.protocols import CacheKey, Executor, Progress, Result, Step
from estiba.graph.vertex import LocalContext, Pairs, Scratch, SourceImage, Vertex
from estiba.store.builds import StoredBuild
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from estiba.builder.request import BuildRequest
    from estiba.dockerfile.lower import Lowered
    from estiba.dockerfile.stages import Stages
    from estiba.graph.plan import Plan
    from estiba.store.store import Store

HIT, MISS, SKIPPED = "HIT", "MISS", "SKIPPED"

_SAME_INPUTS = "same inputs"
_NOT_NEEDED = "no stage that is built needs this one"
_NOT_REACHED = "the build ended before it"
_MOST_CAUSES = 100
"""How many causes of a step are kept."""


class StepRecord(NamedTuple):
    """One step. `key` is that of the cache, "" where there is none; `base` is the image that it stands on, if one.

    Of one that failed, `below` is the chain ID of the files that it began with, and `parts` what else it depended on.
    `outcome` is HIT, MISS or SKIPPED, with its `causes`; `state` is ``done``, ``failed``, ``cancelled`` or "".
    """

    name: str
    stage: str
    line: int
    source: str
    key: str = ""
    base: str = ""
    outcome: str = SKIPPED
    causes: tuple[str, ...] = ()
    state: str = ""
    seconds: float = 0.0
    below: str = ""
    parts: tuple[tuple[str, str], ...] = ()


class BuildRecord(NamedTuple):
    """One build. `dockerfile` is a path; `images` gives the image ID of every image that was built on; `started` counts
    from 1970; `status` is ``done``, ``failed`` or ``cancelled``, `error` the first line of why."""

    id: str
    dockerfile: str
    target: str
    platform: str
    names: tuple[str, ...]
    started: float
    seconds: float
    status: str
    image: str
    error: str
    images: Mapping[str, str]
    steps: tuple[StepRecord, ...]

    @classmethod
    def read(cls, stored: StoredBuild) -> BuildRecord:
        """What the store has kept; what an older Estiba did not know keeps its default."""
        fields = stored.record
        steps = tuple(_step(each) for each in fields.get("steps", ()))
        return cls(
            stored.id,
            stored.place,
            fields.get("target", ""),
            fields.get("platform", ""),
            tuple(fields.get("names", ())),
            fields.get("started", 0.0),
            fields.get("seconds", 0.0),
            fields.get("status", ""),
            fields.get("image", ""),
            fields.get("error", ""),
            fields.get("images", {}),
            steps,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            **{name: value for name, value in self._asdict().items() if name not in ("id", "dockerfile")},
            "names": list(self.names),
            "images": dict(self.images),
            "steps": [
                {**step._asdict(), "causes": list(step.causes), "parts": [list(part) for part in step.parts]}
                for step in self.steps
            ],
        }


def _step(fields: Mapping[str, Any]) -> StepRecord:
    known = {name: fields[name] for name in StepRecord._fields if name in fields}
    parts = tuple((name, value) for name, value in known.get("parts", ()))
    return StepRecord(**{**known, "causes": tuple(known.get("causes", ())), "parts": parts})


class _Happening:
    """What is known of one step so far."""

    __slots__ = ("began", "below", "causes", "key", "outcome", "parts", "seconds", "state")

    def __init__(self) -> None:
        self.key = ""
        self.below = ""
        self.parts: Pairs = ()
        self.outcome = SKIPPED
        self.causes: tuple[str, ...] = ()
        self.state = ""
        self.began = 0.0
        self.seconds = 0.0


class Recorder:
    """Stands between the scheduler and what carries steps out and shows them, and remembers what happens.

    As a context it keeps the record when the build is over, however it ends; `image` is set when there is one. A
    record that cannot be written is no reason for a build to fail.
    """

    def __init__(
        self,
        identifier: str,
        *,
        request: BuildRequest,
        store: Store,
        written: Stages,
        lowered: Lowered,
        plan: Plan,
        images: Mapping[SourceImage, str],
        progress: Progress,
    ) -> None:
        self._identifier = identifier
        self._request = request
        self._store = store
        self._written = written
        self._lowered = lowered
        self._plan = plan
        self.images = {source.reference: image for source, image in images.items()}
        self._progress = progress
        self._executor: Executor
        self._lock = Lock()
        self._happened: dict[str, _Happening] = {}
        self._started = time.time()
        self._began = time.monotonic()
        self.image = ""

    def around(self, executor: Executor) -> Recorder:
        """The same, in the place of `executor`."""
        self._executor = executor
        return self

    def explain(self, vertex: Vertex, causes: tuple[str, ...]) -> None:
        """Remember why the cache did not know a step."""
        self._of(vertex).causes = causes

    # As the scheduler's executor

    def key(self, vertex: Vertex, inputs: Sequence[Result]) -> CacheKey | None:
        key = self._executor.key(vertex, inputs)
        if key is not None:
            happening = self._of(vertex)
            happening.key, happening.below, happening.parts = key.digest, inputs[0].chain_id or "", key.parts
        return key

    def execute(self, vertex: Vertex, inputs: Sequence[Result], key: CacheKey | None, step: Step) -> Result:
        return self._executor.execute(vertex, inputs, key, step)

    # As the scheduler's progress

    def started(self, vertex: Vertex, reason: str) -> None:
        happening = self._of(vertex)
        happening.outcome, happening.began = MISS, time.monotonic()
        self._progress.started(vertex, reason)

    def cached(self, vertex: Vertex, reason: str) -> None:
        happening = self._of(vertex)
        happening.outcome, happening.causes, happening.state = HIT, (_SAME_INPUTS,), "done"
        self._progress.cached(vertex, reason)

    def output(self, vertex: Vertex, data: bytes) -> None:
        self._progress.output(vertex, data)

    def done(self, vertex: Vertex) -> None:
        self._end(vertex, "done")
        self._progress.done(vertex)

    def failed(self, vertex: Vertex, error: Exception) -> None:
        self._end(vertex, "failed")
        self._progress.failed(vertex, error)

    def cancelled(self, vertex: Vertex) -> None:
        self._end(vertex, "cancelled")
        self._progress.cancelled(vertex)

    # The record

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        record = self._record(error)
        try:
            self._store.builds.put(StoredBuild(record.id, record.dockerfile, record.to_json()))
        except Unavailable:
            return  # the disk is full, say: what the build itself has to tell of that is told

    def _of(self, vertex: Vertex) -> _Happening:
        with self._lock:
            return self._happened.setdefault(vertex.digest, _Happening())

    def _end(self, vertex: Vertex, state: str) -> None:
        happening = self._of(vertex)
        happening.state = state
        if happening.began:
            happening.seconds = round(time.monotonic() - happening.began, 3)
        if happening.outcome == SKIPPED and happening.causes:  # it was not even begun: the cache had to know it
            happening.outcome = MISS

    def _record(self, error: BaseException | None) -> BuildRecord:
        request = self._request
        status = "done" if error is None else "failed" if _is_failure(error) else "cancelled"
        message = error.message if isinstance(error, EstibaError) else ""
        return BuildRecord(
            self._identifier,
            request.filename,
            request.target,
            str(request.platform),
            tuple(str(tag) for tag in request.tags),
            self._started,
            round(time.monotonic() - self._began, 3),
            status,
            self.image,
            "" if status != "failed" else message.strip().splitlines()[-1] if message else type(error).__name__,
            self.images,
            self._steps(),
        )

    def _steps(self) -> tuple[StepRecord, ...]:
        order = {title: number for number, title in enumerate(self._written.titles)}
        steps = [
            self._step(vertex)
            for vertex in self._plan.steps
            if not isinstance(vertex.operation, LocalContext | Scratch)
        ]
        for stage in self._written.all:
            if stage.number not in self._lowered.stages:
                steps += [
                    StepRecord(each.at.text, stage.title, each.at.line, each.at.text, causes=(_NOT_NEEDED,))
                    for each in stage.instructions
                    if isinstance(each, Run | Copy | Workdir)
                ]
        return tuple(sorted(steps, key=lambda step: order.get(step.stage, -1)))

    def _step(self, vertex: Vertex) -> StepRecord:
        happening = self._happened.get(vertex.digest) or _Happening()
        below = vertex.inputs[0].operation if vertex.inputs else None
        outcome, causes = happening.outcome, happening.causes
        if outcome == SKIPPED:
            causes = (_NOT_REACHED,)
        elif not happening.key and not causes:
            outcome, causes = self._source_outcome(vertex)
        return StepRecord(
            vertex.name,
            vertex.stage,
            vertex.line,
            vertex.source,
            happening.key,
            below.reference if isinstance(below, SourceImage) else "",
            outcome,
            causes[:_MOST_CAUSES],
            happening.state,
            happening.seconds,
            happening.below if happening.state == "failed" else "",
            tuple(part for part in happening.parts if _is_kept(part[0])) if happening.state == "failed" else (),
        )

    def _source_outcome(self, vertex: Vertex) -> tuple[str, tuple[str, ...]]:
        """An image or an address: the cache of steps does not know it, so its content is what is told."""
        if isinstance(vertex.operation, SourceImage):
            return HIT, (f"image {short(self.images.get(vertex.operation.reference, ''))}",)
        return MISS, ("it is asked for in every build",)


def _is_kept(name: str) -> bool:
    """Whether a part of a key tells how a command runs, and not what it reads."""
    return name in ("user", "working directory", "network") or name.startswith("variable ")


def short(image: str) -> str:
    """An image ID as people compare it: the algorithm and twelve digits."""
    return image[: len("sha256:") + 12]


def _is_failure(error: BaseException) -> bool:
    return isinstance(error, Exception) and not isinstance(error, Cancelled)
