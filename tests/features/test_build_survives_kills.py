"""A build that is killed or given up, wherever it was: nothing runs on, and the next build works."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import leaks
from estiba.store.store import Store
from images import busybox_image
from waiting import wait_until

pytestmark = pytest.mark.root

LONG = "FROM busybox\nRUN echo fine > /fine\nRUN echo ready; sleep 1000\n"
SHORT = "FROM busybox\nRUN echo fine > /fine\nRUN echo done > /done\n"


class Builds:
    """Builds of one installation, and what is left of them."""

    def __init__(self, home: Any, context: Path) -> None:
        self.home = home
        self.context = context
        self.running: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        """A build whose RUN has said that it is ready, and sleeps."""
        (self.context / "Dockerfile").write_text(LONG)
        command = [*self.home.command, "build", str(self.context)]
        build = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.running.append(build)
        assert build.stderr is not None
        for line in build.stderr:
            if line.rstrip().endswith(" ready"):
                return build
        pytest.fail(f"the build did not get ready: exit code {build.wait()}")

    def end(self, build: subprocess.Popen[str]) -> tuple[int, str]:
        """Wait for its end; gives its exit code and what it said."""
        _, said = build.communicate(timeout=20)
        return build.returncode, said

    def next_build_works(self) -> None:
        """Builds again: from the cache what had been done, and with nothing left of the other build."""
        (self.context / "Dockerfile").write_text(SHORT)
        said = self.home.estiba("build", str(self.context)).stderr
        assert "CACHED (same inputs)" in said
        assert self.left() == []
        self.home.estiba("gc")
        with Store.open(self.home.root) as store:
            assert [record.key for record in store.snapshots.list() if record.state == "active"] == []
            assert store.leases.list() == []

    def processes(self, build: subprocess.Popen[str], *words: str) -> list[int]:
        """The descendants of a build whose command line holds every one of `words`."""
        every = leaks.read_processes(int(name) for name in os.listdir("/proc") if name.isdigit())
        found = {build.pid}
        while more := {pid for pid, each in every.items() if each.parent in found and pid not in found}:
            found |= more
        return [pid for pid in sorted(found - {build.pid}) if all(word in every[pid].command for word in words)]

    def wait_for_the_end_of(self, pids: list[int]) -> None:
        assert pids != []
        self.wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), f"processes {pids} end")

    def left(self) -> list[str]:
        """What there is of builds at run time."""
        cgroups = [path for path in leaks.read_cgroups() if "/build-" in path]
        steps = os.listdir(f"{self.home.run}/builds")
        containers = f"{self.home.run}/runtime"
        return cgroups + steps + (os.listdir(containers) if os.path.isdir(containers) else [])

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        wait_until(condition, what, more=lambda: f"left: {self.left()}")


@pytest.fixture
def builds(estiba_home: Any, tmp_path: Path) -> Iterator[Builds]:
    with Store.open(estiba_home.root) as store:
        busybox_image(store)
    found = Builds(estiba_home, tmp_path)
    yield found
    for build in found.running:
        build.kill()
        build.wait()
        build.stderr.close()


def test_an_interrupt_ends_the_build_at_once(builds: Builds) -> None:
    build = builds.start()
    began = time.monotonic()
    build.send_signal(signal.SIGINT)
    status, said = builds.end(build)
    assert (status, "the build was cancelled" in said) == (130, True)
    assert time.monotonic() - began < 8
    assert builds.left() == []
    builds.next_build_works()


def test_after_the_death_of_the_command_its_step_ends_too(builds: Builds) -> None:
    build = builds.start()
    pids = builds.processes(build)
    assert len(builds.processes(build, "sleep 1000")) == 1
    build.kill()
    builds.end(build)
    builds.wait_for_the_end_of(pids)
    builds.next_build_works()


def test_after_the_death_of_the_step_the_command_cleans_up(builds: Builds) -> None:
    build = builds.start()
    (step,) = builds.processes(build, "step/process.py")
    os.kill(step, signal.SIGKILL)
    status, said = builds.end(build)
    assert status == 1
    assert "the step's process ended by signal 9 before it was done" in said
    assert builds.left() == []
    builds.next_build_works()


def test_after_the_death_of_the_runtime_the_container_is_ended(builds: Builds) -> None:
    build = builds.start()
    (runtime,) = builds.processes(build, "runtime/launcher.py", " run ")
    os.kill(runtime, signal.SIGKILL)
    status, said = builds.end(build)
    assert (status, "ended with exit code 137" in said) == (1, True)
    assert builds.left() == []
    builds.next_build_works()


@pytest.mark.parametrize("cleaner", ["build", "gc"])
def test_what_is_left_when_all_of_them_die_is_ended_later(builds: Builds, cleaner: str) -> None:
    build = builds.start()
    victims = [*builds.processes(build, "step/process.py"), *builds.processes(build, "launcher.py", " run "), build.pid]
    container = [pid for pid in builds.processes(build) if pid not in victims]
    assert (len(victims), len(container)) == (3, 1)
    for pid in victims:
        os.kill(pid, signal.SIGSTOP)
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    builds.end(build)
    assert builds.left() != []
    assert os.path.exists(f"/proc/{container[0]}")
    if cleaner == "gc":
        builds.home.estiba("gc")
        assert builds.left() == []
    builds.next_build_works()
    builds.wait_for_the_end_of(container)


def test_a_build_under_way_is_left_alone_by_others(builds: Builds) -> None:
    build = builds.start()
    builds.home.estiba("gc")
    (builds.context / "Dockerfile").write_text(SHORT)
    builds.home.estiba("build", str(builds.context))
    assert build.poll() is None
    assert builds.processes(build, "step/process.py")
    build.send_signal(signal.SIGTERM)
    assert builds.end(build)[0] == 143
