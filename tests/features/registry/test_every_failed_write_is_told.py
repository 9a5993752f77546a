"""A call that fails (no space, a bad disk, no more files) fails the command in one sentence, or changes nothing.

The kernel's answer is made up by `strike.py`, call by call: `scripts/stress` tries all of them, `make test` some.
"""

from __future__ import annotations

import errno
import os

import pytest

import audits
import strikes
from crashes import DEEDS, Bench, left_alone, succeeds_now
from strikes import Step, Struck, failing

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the tracer knows the system calls of x86-64 alone"),
]

ADDS = (
    "write",
    "pwrite64",
    "writev",
    "sendfile",
    "copy_file_range",
    "mkdir",
    "mkdirat",
    "symlink",
    "symlinkat",
    "link",
)
ADDS += ("linkat", "rename", "mknodat", "openat")
SYNCS = ("fsync", "fdatasync", "syncfs")
SPAWNS = ("clone", "clone3", "vfork", "fork")


def failures(steps: list[Step], root: str) -> list[tuple[Step, int]]:
    """Every call that may fail, and how."""
    found = []
    for step in steps:
        if step.call in SPAWNS:
            found.append((step, errno.EAGAIN))
        if not step.files or not step.files[0].startswith(root):
            continue
        if step.call in ADDS:
            found.append((step, errno.ENOSPC))
        if step.call in SYNCS or step.call in ("write", "pwrite64", "unlink", "rename"):
            found.append((step, errno.EIO))
        if step.call == "openat":
            found.append((step, errno.ENFILE))
    return found


def chosen(found: list[tuple[Step, int]]) -> list[tuple[Step, int]]:
    """One of each: a file of a layer or a blob for which there is no space, a failing disk, no more open files."""
    kinds = {}
    for step, error in found:
        is_of_the_log = step.files[:1] != () and "/state.db" in step.files[0]
        if error != errno.EAGAIN and (step.call == "fdatasync" or not is_of_the_log):
            kinds.setdefault((error, is_of_the_log), (step, error))
    return list(kinds.values())


@pytest.mark.parametrize(
    "name", ["pull", "load", "build"] if strikes.MOST else ["pull", "load", "build", "import", "push"]
)
def test_a_call_of_a_command_fails(bench: Bench, name: str, tmp_path) -> None:
    deed = DEEDS[name]
    deed.prepare(bench)
    bench.save()
    steps, kept, goal = left_alone(bench, deed)
    every = failures(steps, bench.home.directory)
    wrong: list[str] = []
    for number, (step, error) in enumerate(chosen(every) if strikes.MOST else every, 1):
        bench.restore()
        deed.again(bench, number)
        errors = str(tmp_path / "errors")
        with Struck(failing(step, error), bench.command(*deed.words(bench, number)), errors=errors) as one:
            one.wait()
        try:
            assert_told(errors, one.status)
            audits.assert_sound(bench.home.root, kept=kept)
            succeeds_now(bench, deed, number, goal)
        except AssertionError as problem:
            wrong.append(f"{step.at} {step.call} {step.files} {errno.errorcode[error]}: {problem}")
    assert not wrong, "\n\n".join(wrong)


def assert_told(errors: str, status: int | None) -> None:
    """It failed in a sentence, and said nothing else; or it could do without."""
    with open(errors, encoding="utf-8") as file:
        said = file.read()
    assert "Traceback" not in said, said
    assert "Exception ignored" not in said, said
    if status:
        assert status > 0, f"killed by signal {-status}"
        assert "estiba: " in said, f"exit code {status}, without a word: {said!r}"
