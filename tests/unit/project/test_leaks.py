"""The check that tests leave nothing behind: what it sees, what it forgives, and that it really fails a test."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import leaks
from leaks import Machine, Mount, Process

RUN = "the-run"
PYTEST = 100

EMPTY = Machine(deep=True, pids=frozenset(), mounts=frozenset())
OURS = Mount(2, "/tmp/est-1/fs", "/tmp/est-1/fs (overlay)")
THEIRS = Mount(3, "/mnt/usb", "/mnt/usb (ext4)")


def process(pid: int, parent: int, command: str = "sleep 60", *, state: str = "S", environment: str = "") -> Process:
    return Process(pid, parent, 1, state, command, environment)


def compare(before: Machine, after: Machine, *processes: Process, alone: bool = True) -> list[str]:
    return leaks.compare(
        before, after, {p.pid: p for p in processes}, run=RUN, test_process=PYTEST, alone=alone, marks=["/tmp/est-1"]
    )


def test_the_same_machine_has_no_leaks() -> None:
    assert compare(EMPTY, EMPTY) == []


def test_what_went_away_is_no_leak() -> None:
    assert compare(EMPTY._replace(mounts=frozenset({OURS}), links=frozenset({"veth0"})), EMPTY) == []


def test_each_kind_of_leak_is_named() -> None:
    after = EMPTY._replace(
        mounts=frozenset({OURS}),
        links=frozenset({"veth0"}),
        tables=frozenset({"inet estiba"}),
        cgroups=frozenset({"/sys/fs/cgroup/x"}),
        pids=frozenset({7}),
    )
    assert compare(EMPTY, after, process(7, PYTEST)) == [
        "mount left: /tmp/est-1/fs (overlay)",
        "link left: veth0",
        "nftables table left: inet estiba",
        "cgroup left: /sys/fs/cgroup/x",
        "process left: 7 sleep 60",
    ]


def test_beside_another_run_only_what_names_our_directories_counts() -> None:
    after = EMPTY._replace(mounts=frozenset({OURS, THEIRS}), links=frozenset({"veth0"}))
    assert compare(EMPTY, after, alone=False) == ["mount left: /tmp/est-1/fs (overlay)"]


def test_a_shallow_look_says_nothing_about_links() -> None:
    before = EMPTY._replace(deep=False)
    assert compare(before, before._replace(links=frozenset({"veth0"}))) == []


def test_a_grandchild_is_ours() -> None:
    after = EMPTY._replace(pids=frozenset({8}))
    assert compare(EMPTY, after, process(7, PYTEST), process(8, 7)) == ["process left: 8 sleep 60"]


def test_a_stray_with_our_mark_is_ours() -> None:
    after = EMPTY._replace(pids=frozenset({8}))
    assert compare(EMPTY, after, process(8, 1, environment=f"A=1\0{leaks.MARK}={RUN}\0")) == [
        "process left: 8 sleep 60"
    ]


def test_a_process_of_somebody_else_is_not_ours() -> None:
    after = EMPTY._replace(pids=frozenset({8}))
    assert compare(EMPTY, after, process(8, 1, environment=f"{leaks.MARK}={RUN}-2")) == []


def test_a_child_that_nobody_waited_for_is_named_as_such() -> None:
    after = EMPTY._replace(pids=frozenset({8}))
    assert compare(EMPTY, after, process(8, PYTEST, "[true]", state="Z")) == [
        "process left: 8 [true] (ended, nobody waited for it)"
    ]


def test_the_helper_of_multiprocessing_is_forgiven() -> None:
    after = EMPTY._replace(pids=frozenset({8}))
    assert (
        compare(EMPTY, after, process(8, PYTEST, "python -c from multiprocessing.resource_tracker import main")) == []
    )


def test_a_run_is_alone_with_its_own_family() -> None:
    family = [process(1, 0, "init"), process(50, 1, "bash -c pytest"), process(PYTEST, 50, "python -m pytest")]
    child = process(101, PYTEST, "python -m pytest inner")
    assert leaks.is_alone({p.pid: p for p in [*family, child]}, test_process=PYTEST)
    for command in ("python -m pytest elsewhere", "python -m bench --runs 3"):
        other = process(200, 1, command)
        assert not leaks.is_alone({p.pid: p for p in [*family, other]}, test_process=PYTEST)


def test_groups_below_one_where_others_have_processes_are_theirs(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    for group, processes in (("", "1"), ("manager", ""), ("manager/job", "7"), ("empty", ""), ("estiba/one", "8")):
        (memory / group).mkdir(parents=True, exist_ok=True)
        (memory / group / "cgroup.procs").write_text(processes)
    others = leaks.groups_of_others(str(tmp_path))
    assert others == {str(memory / "manager")}
    (memory / "manager" / "later").mkdir()
    seen = {os.path.relpath(path, memory) for path in leaks.read_cgroups(str(memory), others=others)}
    assert seen == {".", "empty", "estiba", "estiba/one"}


def test_a_real_process_is_read_with_its_parent_and_environment() -> None:
    child = subprocess.Popen(["sleep", "60"], env={"ESTIBA_TEST_RUN": "another"})
    try:
        _wait_for(lambda: leaks.read_process(child.pid).environment != "")  # exec is not one moment
        read = leaks.read_process(child.pid)
        assert (read.parent, read.command, read.environment) == (os.getpid(), "sleep 60", "ESTIBA_TEST_RUN=another\0")
    finally:
        child.kill()
        child.wait()
    assert leaks.read_process(child.pid) is None


def test_looking_at_the_machine_is_cheap() -> None:
    started = time.process_time()
    for _ in range(10):
        leaks.observe(deep=False)
    assert (time.process_time() - started) / 10 < 0.010


def test_a_test_that_leaves_a_process_fails(tmp_path: Path) -> None:
    outcome = _run_untidy(tmp_path, "subprocess.Popen(['sleep', '61'], start_new_session=True)")
    left = re.search(r"process left: (\d+) sleep 61", outcome)
    assert left, outcome
    os.kill(int(left[1]), signal.SIGKILL)
    assert "1 passed, 1 error" in outcome


@pytest.mark.root
def test_a_test_that_leaves_a_mount_fails(tmp_path: Path) -> None:
    outcome = _run_untidy(tmp_path, "subprocess.run(['mount', '-t', 'tmpfs', 'none', str(tmp_path)], check=True)")
    left = re.search(r"mount left: (\S+) \(tmpfs", outcome)
    assert left, outcome
    subprocess.run(["umount", left[1]], check=True)


@pytest.mark.root
def test_a_test_that_leaves_a_network_link_fails(tmp_path: Path) -> None:
    if not leaks.is_alone(leaks.read_processes(leaks.observe(deep=False).pids), test_process=os.getpid()):
        pytest.skip("another test run shares this machine, so that a link is nobody's")
    outcome = _run_untidy(tmp_path, "subprocess.run(['ip', 'link', 'add', 'est-untidy', 'type', 'veth'], check=True)")
    subprocess.run(["ip", "link", "delete", "est-untidy"], check=True)
    assert "link left: est-untidy" in outcome


def _run_untidy(directory: Path, body: str) -> str:
    """The report of a pytest of its own over one test whose body is given."""
    test = directory / "test_untidy.py"
    test.write_text(
        f"import subprocess\nimport pytest\n\n@pytest.mark.root\ndef test_untidy(tmp_path):\n    {body}\n"
        if os.geteuid() == 0
        else f"import subprocess\n\ndef test_untidy(tmp_path):\n    {body}\n"
    )
    tests = Path(leaks.__file__).parent
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-c", tests.parent / "pyproject.toml", "-p", "conftest"),
            *("-W", "ignore", "-p", "no:cacheprovider", "--basetemp", directory / "inner", test),
        ],
        env=os.environ | {"PYTHONPATH": str(tests), "ESTIBA_TEST_PATIENCE": "0.2"},
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
