"""`kill -9` at any write of a command that changes the store: whatever was there is there, and gc frees the rest.

The writes are system calls, as `strike.py` finds them. `scripts/stress` strikes at all of them, `make test` at some.
"""

from __future__ import annotations

import os

import pytest

import audits
import strikes
from crashes import DEEDS, Bench, left_alone, succeeds_now
from strikes import Step, Struck

pytestmark = [
    pytest.mark.long,
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the tracer knows the system calls of x86-64 alone"),
]

# What is struck at where not everything is: the last of each of these in a command.
ALIKE = ("load of a layout", "import")  # to the other loads
CHOSEN = (("rename", "unlink", "unlinkat", "rmdir"), ("fsync", "syncfs"), ("fdatasync",))


def chosen(steps: list[Step]) -> list[Step]:
    """Some points of a command: one of each kind, those next to its end, where the most is at stake."""
    found = {}
    for calls in CHOSEN:
        for step in steps:
            if step.call in calls and (step.call == "fdatasync" or "/state.db" not in step.files[0]):
                found[calls] = step
    return list(found.values())


@pytest.mark.parametrize("name", [name for name in DEEDS if not strikes.MOST or name not in ALIKE])
def test_a_command_is_killed_at_a_write(bench: Bench, name: str) -> None:
    deed = DEEDS[name]
    deed.prepare(bench)
    bench.save()
    steps, kept, goal = left_alone(bench, deed)
    points = chosen(steps) if strikes.MOST else steps
    struck = 0
    failures: list[str] = []
    for number, step in enumerate(points, 1):
        bench.restore()
        deed.again(bench, number)
        at = step.at + "*" * (number % 2)  # one process, or all of them
        with Struck(at, bench.command(*deed.words(bench, number))) as one:
            one.wait()
            struck += bool(one.word)
        try:
            if deed.begins_sound:
                audits.assert_sound(bench.home.root, kept=kept)
            succeeds_now(bench, deed, number, goal)
        except AssertionError as error:
            failures.append(f"{at} {step.call} {step.files}: {error}")
    assert not failures, "\n\n".join(failures)
    assert struck >= len(points) * 2 // 3, "a command does the same each time, but for a few steps"
