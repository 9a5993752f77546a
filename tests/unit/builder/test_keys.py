"""Cache keys: what counts and what does not."""

from __future__ import annotations

from estiba.builder import keys
from estiba.graph.protocols import Result
from estiba.graph.vertex import Run

BASE = Result("sha256:" + "a" * 64, ("sha256:" + "a" * 64,))
RUN = Run(("/bin/sh", "-c", "make"), env=(("PATH", "/bin"), ("MODE", "fast")))


def parts(run: Run = RUN, base: Result = BASE) -> tuple[tuple[str, str], ...]:
    return keys.run_parts(run, [base], {})


def test_the_same_inputs_have_the_same_key_and_other_times_another() -> None:
    assert keys.make_key("run", parts(), epoch=0) == keys.make_key("run", parts(), epoch=0)
    assert keys.make_key("run", parts(), epoch=0).digest != keys.make_key("run", parts(), epoch=1).digest


def test_variables_that_are_only_passed_on_do_not_count() -> None:
    assert parts(RUN._replace(passing_env=(("http_proxy", "http://proxy"),))) == parts()
