"""The scheduler runs what is needed, as early as it can, and stops at the first error."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from estiba.errors import InvalidInput
from estiba.graph.cancellation import Cancellation, Cancelled
from estiba.graph.plan import plan
from estiba.graph.progress import Event, RecordingProgress
from estiba.graph.protocols import CacheKey, Result, Step
from estiba.graph.scheduler import execute
from estiba.graph.vertex import Copy, LocalContext, Run, Scratch, Vertex

LONG = 30.0
"""Seconds after which a test that waits in vain fails."""


class Failed(InvalidInput):
    pass


class FakeExecutor:
    """Runs what a test gives for a name; counts what ran."""

    def __init__(self, **actions: Callable[[Step], None]) -> None:
        self.actions = actions
        self.ran: list[str] = []
        self.threads: set[int] = set()

    def key(self, vertex: Vertex, inputs: Sequence[Result]) -> CacheKey | None:
        if isinstance(vertex.operation, LocalContext | Scratch):
            return None
        return CacheKey(f"{vertex.digest} {[each.chain_id for each in inputs]}", (("step", vertex.name),))

    def execute(self, vertex: Vertex, inputs: Sequence[Result], key: CacheKey | None, step: Step) -> Result:
        self.ran.append(vertex.name)
        self.threads.add(threading.get_ident())
        if action := self.actions.get(vertex.name):
            action(step)
        return Result(f"result of {vertex.name}", tuple(each.chain_id or "" for each in inputs))


class FakeCache:
    def __init__(self) -> None:
        self.known: dict[str, Result] = {}

    def get(self, key: CacheKey) -> Result | None:
        return self.known.get(key.digest)

    def put(self, vertex: Vertex, key: CacheKey, result: Result) -> None:
        self.known[key.digest] = result

    def explain(self, vertex: Vertex, key: CacheKey) -> str:
        return "run: never run before"


class Build:
    """One build with fakes."""

    def __init__(self, **actions: Callable[[Step], None]) -> None:
        self.executor = FakeExecutor(**actions)
        self.cache = FakeCache()
        self.progress = RecordingProgress()
        self.cancellation = Cancellation()

    def run(self, *targets: Vertex, workers: int = 4) -> dict[str, Result]:
        results = execute(
            plan(*targets),
            executor=self.executor,
            cache=self.cache,
            progress=self.progress,
            workers=workers,
            cancellation=self.cancellation,
        )
        return dict(results)


BASE = Vertex.of(Scratch(), name="base")


def step(name: str, *inputs: Vertex) -> Vertex:
    return Vertex.of(Run((name,)), inputs or (BASE,), name=name)


def join(*inputs: Vertex) -> Vertex:
    return Vertex.of(Copy("COPY", ("x",), "/x"), inputs, name="join")


def test_steps_run_after_their_inputs_and_get_their_results() -> None:
    """A line of steps runs in its order, and the last sees the result of the one before."""
    build = Build()
    last = step("three", step("two", step("one")))
    results = build.run(last)
    assert build.executor.ran == ["base", "one", "two", "three"]
    assert results[last.digest] == Result("result of three", ("result of two",))


def test_a_line_of_steps_needs_no_thread() -> None:
    """The caller's thread does the work where nothing can run at the same time."""
    build = Build()
    build.run(step("two", step("one")))
    assert build.executor.threads == {threading.get_ident()}


def test_independent_steps_run_at_the_same_time() -> None:
    """Three steps that each wait for the other two finish, so they ran together."""
    together = threading.Barrier(3)
    meet = lambda _: together.wait(LONG)  # noqa: E731
    build = Build(a=meet, b=meet, c=meet)
    build.run(join(step("a"), step("b"), step("c")))
    assert sorted(build.executor.ran) == ["a", "b", "base", "c", "join"]


def test_no_more_steps_run_at_once_than_there_are_workers() -> None:
    """With one worker, one at a time."""
    running: list[int] = []
    most: list[int] = []

    def count(_: Step) -> None:
        running.append(1)
        most.append(len(running))
        running.pop()

    build = Build(a=count, b=count, c=count)
    build.run(join(step("a"), step("b"), step("c")), workers=1)
    assert max(most) == 1
    assert build.executor.threads == {threading.get_ident()}


def test_equal_steps_run_once() -> None:
    """Two stages with the same text share the work."""
    build = Build()
    build.run(join(step("same"), step("same")))
    assert build.executor.ran.count("same") == 1


def test_a_known_result_is_not_made_again_and_says_why() -> None:
    """The second build runs only what is never remembered."""
    build = Build()
    target = step("two", step("one"))
    first = build.run(target)
    build.executor.ran.clear()
    build.progress = RecordingProgress()
    assert build.run(target) == first
    assert build.executor.ran == ["base"]
    assert Event("cached", "two", "cached: same inputs") in build.progress.events


def test_a_step_that_runs_says_why() -> None:
    """A miss has its reason."""
    build = Build(one=lambda step: step.output(b"hello"))
    build.run(step("one"))
    assert build.progress.events == (
        Event("started", "base"),
        Event("done", "base"),
        Event("started", "one", "run: never run before"),
        Event("output", "one", "hello"),
        Event("done", "one"),
    )


def fail(_: Step) -> None:
    raise Failed("it broke")


def test_the_first_error_is_raised_and_nothing_after_it_runs() -> None:
    """Nothing that depends on a failed step starts, and its result is not remembered."""
    build = Build(one=fail)
    with pytest.raises(Failed, match="it broke"):
        build.run(step("two", step("one")))
    assert build.executor.ran == ["base", "one"]
    assert build.cache.known == {}
    assert build.progress.kinds("one") == ("started", "failed")


def test_an_error_cancels_the_steps_that_run() -> None:
    """A long step hears of the failure, ends, and counts as cancelled."""
    started = threading.Event()

    def long(step: Step) -> None:
        told = threading.Event()
        step.cancellation.on_set(told.set)
        started.set()
        assert told.wait(LONG)
        step.cancellation.raise_if_set()

    def fail_later(_: Step) -> None:
        assert started.wait(LONG)
        raise Failed("it broke")

    build = Build(long=long, breaks=fail_later)
    with pytest.raises(Failed, match="it broke"):
        build.run(join(step("long"), step("breaks")))
    assert build.progress.kinds("long") == ("started", "cancelled")
    assert "join" not in build.executor.ran


def test_the_caller_can_cancel() -> None:
    """Setting the cancellation ends the run with Cancelled."""
    build = Build()
    build.executor.actions["one"] = lambda _: build.cancellation.set()
    with pytest.raises(Cancelled):
        build.run(step("two", step("one")))
    assert "two" not in build.executor.ran


def test_an_error_that_nobody_expected_comes_out_as_it_is() -> None:
    """A bug in an executor is not hidden."""

    def bug(_: Step) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Build(a=bug).run(join(step("a"), step("b")))


def test_an_interrupt_cancels_the_others_and_comes_out() -> None:
    """Control-C in the caller's thread."""

    def interrupt(_: Step) -> None:
        raise KeyboardInterrupt

    build = Build(one=interrupt)
    with pytest.raises(KeyboardInterrupt):
        build.run(step("two", step("one")))
    assert build.cancellation.is_set


def test_an_interrupt_waits_for_the_steps_that_run() -> None:
    """Nothing goes on behind the caller's back."""
    started, ended = threading.Event(), threading.Event()

    def long(step: Step) -> None:
        told = threading.Event()
        step.cancellation.on_set(told.set)
        started.set()
        assert told.wait(LONG)
        ended.set()

    def interrupt(_: Step) -> None:
        assert started.wait(LONG)
        raise KeyboardInterrupt

    # Whichever thread takes the interrupting step, the caller hears of it when all have ended.
    build = Build(a=interrupt, b=long)
    with pytest.raises(KeyboardInterrupt):
        build.run(join(step("a"), step("b")))
    assert ended.is_set()


def test_a_step_that_gives_up_by_itself_ends_the_run() -> None:
    """Nobody waits for what will never be there."""

    def give_up(_: Step) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        Build(one=give_up).run(step("two", step("one")))


def test_a_callback_can_be_taken_back() -> None:
    """What a finished step asked for is not called later; what comes too late is called at once."""
    called: list[str] = []
    cancellation = Cancellation()
    forget = cancellation.on_set(lambda: called.append("forgotten"))
    cancellation.on_set(lambda: called.append("kept"))
    forget()
    cancellation.set()
    cancellation.set()
    cancellation.on_set(lambda: called.append("late"))
    assert called == ["kept", "late"]


def test_many_steps_on_many_workers_all_finish() -> None:
    """A wide and deep graph comes to its end, whatever the order."""
    layer = [step(f"0-{n}") for n in range(8)]
    for depth in range(1, 6):
        layer = [step(f"{depth}-{n}", layer[n], layer[(n + 1) % 8]) for n in range(8)]
    build = Build()
    results = build.run(join(*layer), workers=8)
    assert len(results) == 1 + 48 + 1
