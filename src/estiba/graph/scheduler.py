"""Running a plan: every step as soon as its inputs are there, independent ones at the same time.

The caller's thread works too, so a build whose steps form one line starts no thread. This process never forks here;
executors spawn.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from threading import Condition, Thread

from estiba.graph.cancellation import Cancellation, Cancelled
from estiba.graph.plan import Plan
from estiba.graph.protocols import Cache, Executor, Progress, Result
from estiba.graph.vertex import Vertex

SAME_INPUTS = "cached: same inputs"


def execute(
    plan: Plan,
    *,
    executor: Executor,
    cache: Cache,
    progress: Progress,
    workers: int,
    cancellation: Cancellation | None = None,
) -> Mapping[str, Result]:
    """Run every step of `plan`, at most `workers` (at least 1) at once; gives each vertex digest its result.

    The first error cancels the other steps; it is raised when all of them have ended. A `cancellation` that the caller
    sets does the same.

    Raises:
        EstibaError: what the first failing step raised. Cancelled: the caller's cancellation was set.
    """
    run = _Run(plan, executor, cache, progress, max(1, workers), cancellation or Cancellation())
    run.work()
    run.join()
    return run.results


class _Step:
    """What one execution may use."""

    def __init__(self, vertex: Vertex, progress: Progress, cancellation: Cancellation) -> None:
        self._vertex = vertex
        self._progress = progress
        self._cancellation = cancellation

    @property
    def cancellation(self) -> Cancellation:
        return self._cancellation

    def output(self, data: bytes) -> None:
        self._progress.output(self._vertex, data)


class _Run:
    """One run of a plan. The condition guards everything that changes."""

    def __init__(
        self,
        plan: Plan,
        executor: Executor,
        cache: Cache,
        progress: Progress,
        workers: int,
        cancellation: Cancellation,
    ) -> None:
        self._plan = plan
        self._executor = executor
        self._cache = cache
        self._progress = progress
        self._workers = workers
        self._cancellation = cancellation
        self._changed = Condition()
        self._waits_for = list(plan.waits_for)
        self._ready = [index for index, count in enumerate(plan.waits_for) if count == 0]
        self._unfinished = len(plan.steps)
        self._idle = 0
        self._threads: list[Thread] = []
        self._error: BaseException | None = None
        self.results: dict[str, Result] = {}

    def work(self) -> None:
        """Take steps until none is left: what each worker does, the caller's thread first. Keeps what goes wrong."""
        forget = self._cancellation.on_set(self._wake)
        try:
            while (index := self._next()) is not None:
                self._run_step(index)
        except BaseException as error:  # noqa: BLE001 - an interrupt too must cancel the others; `join` raises it
            self._give_up(error)
        finally:
            forget()

    def join(self) -> None:
        """Wait for the other workers, then raise what went wrong first."""
        for thread in self._threads:
            thread.join()
        if self._error is not None:
            raise self._error
        if self._unfinished:
            raise Cancelled

    def _next(self) -> int | None:
        """The first step that is ready; waits for one; None at the end."""
        with self._changed:
            while not self._is_over():
                if self._ready:
                    index = heapq.heappop(self._ready)
                    self._call_help()
                    return index
                self._idle += 1
                try:
                    self._changed.wait()
                finally:
                    self._idle -= 1
            return None

    def _is_over(self) -> bool:
        return self._unfinished == 0 or self._error is not None or self._cancellation.is_set

    def _call_help(self) -> None:
        """Wake or start a worker where a step is ready and nobody is free."""
        if not self._ready:
            return
        if self._idle:
            self._changed.notify()
        elif len(self._threads) + 1 < self._workers:
            thread = Thread(target=self.work, name=f"build-{len(self._threads) + 1}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _run_step(self, index: int) -> None:
        vertex = self._plan.steps[index]
        inputs = [self.results[each.digest] for each in vertex.inputs]
        try:
            result = self._result(vertex, inputs)
        except Cancelled:
            self._cancellation.set()
            self._progress.cancelled(vertex)
            return
        except Exception as error:  # noqa: BLE001 - kept, and raised by `join` in the caller's thread
            self._give_up(error)
            self._progress.failed(vertex, error)
            return
        self._finish(index, result)

    def _result(self, vertex: Vertex, inputs: Sequence[Result]) -> Result:
        key = self._executor.key(vertex, inputs)
        reason = ""
        if key is not None:
            known = self._cache.get(key)
            if known is not None:
                self._progress.cached(vertex, SAME_INPUTS)
                return known
            reason = self._cache.explain(vertex, key)
        self._progress.started(vertex, reason)
        result = self._executor.execute(vertex, inputs, key, _Step(vertex, self._progress, self._cancellation))
        if key is not None:
            self._cache.put(vertex, key, result)
        self._progress.done(vertex)
        return result

    def _finish(self, index: int, result: Result) -> None:
        with self._changed:
            self.results[self._plan.steps[index].digest] = result
            self._unfinished -= 1
            for user in self._plan.users[index]:
                self._waits_for[user] -= 1
                if self._waits_for[user] == 0:
                    heapq.heappush(self._ready, user)
            self._changed.notify_all()

    def _give_up(self, error: BaseException) -> None:
        """Keep the first error and cancel the others."""
        with self._changed:
            if self._error is None:
                self._error = error
        self._cancellation.set()
        self._wake()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
