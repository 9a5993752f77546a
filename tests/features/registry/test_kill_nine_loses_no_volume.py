"""`kill -9` while a volume is removed or taken back: it is a volume or in the trash, with its files, never neither."""

from __future__ import annotations

import os

import pytest

import strikes
from crashes import Bench, changes
from strikes import Struck, trace

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the tracer knows the system calls of x86-64 alone"),
]


@pytest.mark.parametrize("words", [("rm", "cargo"), ("undo", "cargo")], ids=str)
def test_a_volume_is_somewhere(bench: Bench, words: tuple[str, ...]) -> None:
    estiba = bench.home.estiba
    estiba("volume", "create", "cargo")
    file = f"{bench.home.root}/volumes/cargo/_data/file"
    with open(file, "w") as out:
        out.write("cargo")
    if words[0] == "undo":
        estiba("volume", "rm", "cargo")
    bench.save()
    command = bench.command("volume", *words)
    steps = changes(trace(command))
    points = [step for step in steps if step.call in ("rename", "fdatasync", "rmdir")] if strikes.MOST else steps
    assert any(step.call == "rename" for step in points)
    wrong = []
    for number, step in enumerate(points):
        bench.restore()
        with Struck(step.at + "*" * (number % 2), command) as struck:
            struck.wait()
        if number % 2:
            estiba("gc", "-q")
        there = estiba("volume", "ls", "-q").stdout.split()
        in_trash = estiba("volume", "trash", "ls", "-q").stdout.split()
        if sorted(there + in_trash) != ["cargo"]:
            wrong.append(f"{step}: {there} {in_trash}")
            continue
        if in_trash:
            estiba("volume", "undo", "cargo")
        if not os.path.exists(file) or os.path.getsize(file) != 5:
            wrong.append(f"{step}: its file is lost")
    assert not wrong, "\n".join(wrong)
