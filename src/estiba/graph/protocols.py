"""What the scheduler needs of others: something that executes steps, something that remembers, something that shows.

All three are called from several threads at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from estiba.graph.cancellation import Cancellation
from estiba.graph.vertex import Pairs, Vertex
from estiba.values import NamedTuple


class CacheKey(NamedTuple):
    """What a step's result depends on, by content.

    `parts` are the named things that went into `digest`, such as ``("file src/app.py", "sha256:…")`` or
    ``("base", chain ID)``: where two keys differ, the parts that differ are the reason.
    """

    digest: str
    parts: Pairs = ()


class Result(NamedTuple):
    """A filesystem: the chain ID that names its snapshot (None: empty, or none) and its diff IDs, lowest first."""

    chain_id: str | None = None
    diff_ids: tuple[str, ...] = ()


class Step(Protocol):
    """What an execution may use while it runs."""

    @property
    def cancellation(self) -> Cancellation:
        """Tells when another step has failed; a long execution ends soon after."""

    def output(self, data: bytes) -> None:
        """Show what the step printed."""


class Executor(Protocol):
    def key(self, vertex: Vertex, inputs: Sequence[Result]) -> CacheKey | None:
        """What the result depends on; None where it is cheap and must not be remembered (an image, the context)."""

    def execute(self, vertex: Vertex, inputs: Sequence[Result], key: CacheKey | None, step: Step) -> Result:
        """Carry the step out. Never forks this process: others run in its threads.

        Raises:
            EstibaError: what went wrong. Cancelled: `step.cancellation` came first.
        """


class Cache(Protocol):
    def get(self, key: CacheKey) -> Result | None:
        """A result that is known and still there."""

    def put(self, vertex: Vertex, key: CacheKey, result: Result) -> None:
        """Remember a result."""

    def explain(self, vertex: Vertex, key: CacheKey) -> str:
        """Why `get` knew nothing, such as ``run again: src/app.py changed`` or ``run: never run before``."""


class Progress(Protocol):
    """What happens to each step: `started`, then `done`, `failed` or `cancelled`; or `cached` alone.

    Reasons are for people: ``cached: same inputs``, ``run again: src/app.py changed``.
    """

    def started(self, vertex: Vertex, reason: str) -> None: ...

    def cached(self, vertex: Vertex, reason: str) -> None: ...

    def output(self, vertex: Vertex, data: bytes) -> None: ...

    def done(self, vertex: Vertex) -> None: ...

    def failed(self, vertex: Vertex, error: Exception) -> None: ...

    def cancelled(self, vertex: Vertex) -> None: ...
