"""Cache keys: what counts, what does not, and what a miss says."""

from __future__ import annotations

from estiba.builder import keys
from estiba.graph.protocols import Result
from estiba.graph.vertex import Run

BASE = Result("sha256:" + "a" * 64, ("sha256:" + "a" * 64,))
MOVED = Result("sha256:" + "b" * 64, ("sha256:" + "b" * 64,))
RUN = Run(("/bin/sh", "-c", "make"), env=(("PATH", "/bin"), ("MODE", "fast")))


def parts(run: Run = RUN, base: Result = BASE) -> tuple[tuple[str, str], ...]:
    return keys.run_parts(run, [base], {})


def test_the_same_inputs_have_the_same_key_and_other_times_another() -> None:
    assert keys.make_key("run", parts(), epoch=0) == keys.make_key("run", parts(), epoch=0)
    assert keys.make_key("run", parts(), epoch=0).digest != keys.make_key("run", parts(), epoch=1).digest


def test_variables_that_are_only_passed_on_do_not_count() -> None:
    assert parts(RUN._replace(passing_env=(("http_proxy", "http://proxy"),))) == parts()


def test_a_miss_says_what_changed() -> None:
    before = dict(parts())
    assert keys.explain(before, parts(RUN._replace(arguments=("/bin/sh", "-c", "make all")))) == (
        "run again: the command changed"
    )
    slower = RUN._replace(env=(("PATH", "/bin"), ("MODE", "slow")))
    assert keys.explain(before, parts(slower)) == "run again: variable MODE changed"
    assert keys.explain(before, parts(base=MOVED)) == "run again: the step before it changed"
    assert keys.explain(before, parts()) == "run again: its result was removed"


def test_a_changed_file_is_named_and_many_are_counted() -> None:
    before = {"file a": "1", "file b": "1", "file c": "1", "file d": "1", "file e": "1"}
    assert keys.explain(before, (*before.items(), ("file f", "1"))) == "run again: f is new"
    after = tuple((name, "2") for name in before)
    assert keys.explain(before, after) == "run again: a changed, b changed, c changed and 2 more"
    assert keys.explain(before, tuple(before.items())[1:]) == "run again: a is gone"
