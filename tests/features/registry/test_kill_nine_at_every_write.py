"""`kill -9` at any write of a command that changes the store: whatever was there is there, and gc frees the rest.

The writes are system calls, as `strike.py` finds them. `scripts/stress` strikes at all of them, `make test` at some.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import audits
import strikes
from crashes import DEEDS, Bench, Deed, changes
from strikes import Step, Struck, trace

registries = sys.modules["estiba_test_registries"]

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the tracer knows the system calls of x86-64 alone"),
]

# What is struck at where not everything is: the last of each of these in a command.
CHOSEN = (("rename", "unlink", "unlinkat", "rmdir"), ("fsync", "syncfs"), ("fdatasync",))


@pytest.fixture
def bench(server, estiba_home, tmp_path: Path) -> Bench:
    layers = [registries.layer_of({f"seed{number}": bytes([number]) * 70_000}) for number in (1, 2)]
    server.push_image("seed/image", "1", *layers, config=registries.config_of(*layers))
    return Bench(estiba_home, server.address, str(tmp_path))


def chosen(steps: list[Step]) -> list[Step]:
    """Some points of a command: one of each kind, those next to its end, where the most is at stake."""
    found = {}
    for calls in CHOSEN:
        for step in steps:
            if step.call in calls and (step.call == "fdatasync" or "/state.db" not in step.files[0]):
                found[calls] = step
    return list(found.values())


@pytest.mark.parametrize("name", DEEDS)
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
    assert failures == []
    assert struck >= len(points) * 2 // 3, "a command does the same each time, but for a few steps"


def left_alone(bench: Bench, deed: Deed) -> tuple[list[Step], audits.Contents, audits.Contents]:
    """The steps of the command, what has to be there all the time, and what is there when it is done."""
    deed.again(bench, 0)
    before = bench.contents()
    steps = changes(trace(bench.command(*deed.words(bench, 0))))
    bench.home.estiba("gc", "-q", "--partial")
    goal = bench.contents()
    if not deed.removes:
        return steps, before._replace(names={n: i for n, i in before.names.items() if "/own/n" not in n}), goal
    names = {name: image for name, image in before.names.items() if name in goal.names}
    kept = audits.Contents(names, before.images & goal.images, before.things, before.needed & goal.needed)
    return steps, kept, goal


def succeeds_now(bench: Bench, deed: Deed, number: int, goal: audits.Contents) -> None:
    """The same command works, or has nothing more to do; then all is as if nothing had happened."""
    done = bench.home.estiba(*deed.words(bench, number), check=False)
    bench.home.estiba("gc", "-q", "--partial")
    found = bench.contents()
    assert same(found) == same(goal), done.stderr
    assert done.returncode == 0 or deed.removes, done.stderr
    assert "Traceback" not in done.stderr
    audits.assert_sound(bench.home.root, kept=found)
    if number and deed is DEEDS["push"]:
        reference = bench.home.estiba("manifest", "inspect", deed.words(bench, number)[-1])
        assert "layers" in reference.stdout


def same(found: audits.Contents) -> object:
    """What does not depend on how often a command was begun: numbers of snapshots do."""
    names = {name.replace("/own/n", "/n").rstrip("0123456789:"): image for name, image in found.names.items()}
    snapshots = sum(thing.startswith("snapshots/") for thing in found.needed)
    return names, found.images, {thing for thing in found.needed if thing.startswith("blobs/")}, snapshots
