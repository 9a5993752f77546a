"""Which step of a build that is over is looked into, and that its record knows enough for it."""

from __future__ import annotations

import pytest

from estiba.builder.looking import choose
from estiba.builder.record import BuildRecord, StepRecord
from estiba.errors import InvalidInput
from estiba.store.builds import StoredBuild

STEPS = (
    StepRecord("FROM a", "x", 1, "FROM a"),
    StepRecord("RUN one", "x", 2, "RUN one", key="1", outcome="HIT", causes=("same inputs",), state="done"),
    StepRecord("RUN two", "x", 3, "RUN two", key="2", state="failed", below="sha256:1", parts=(("user", "me"),)),
    StepRecord("RUN three", "x", 4, "RUN three"),
)
RECORD = BuildRecord("id", "/D", "", "linux/amd64", (), 1.0, 2.0, "failed", "", "no", {"a": "sha256:2"}, STEPS)


def test_the_step_that_failed_is_chosen_else_the_last_or_that_of_a_line() -> None:
    """What was never begun cannot be."""
    assert choose(RECORD, 0).name == "RUN two"
    assert choose(RECORD._replace(steps=STEPS[:2]), 0).name == "RUN one"
    assert choose(RECORD, 2).name == "RUN one"
    with pytest.raises(InvalidInput, match="no step on line 4"):
        choose(RECORD, 4)
    with pytest.raises(InvalidInput, match="no step of that build was begun"):
        choose(RECORD._replace(steps=STEPS[:1]), 0)


def test_a_record_comes_back_as_it_was_kept() -> None:
    """Also one of an older Estiba, which knew less."""
    assert BuildRecord.read(StoredBuild("id", "/D", RECORD.to_json())) == RECORD
    old = BuildRecord.read(StoredBuild("id", "/D", {"steps": [{"name": "n", "stage": "", "line": 1, "source": "s"}]}))
    assert old.steps == (StepRecord("n", "", 1, "s"),)
