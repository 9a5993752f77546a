"""`kill -9` of the monitor, of the container or of the command at any step: the next command works, nothing is left.

The steps are those at which the monitor calls its runtime: a runtime of the test's own passes every call on to the
real one and kills before or after it.
"""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

import estiba.runtime
from estiba.linux.processes import start_time

pytestmark = pytest.mark.without_root_too(takes_long=True)

RUNTIME = """\
#!/bin/sh
# Kills the process whose id is in {victim} before or after the verb in {step}, once.
for verb in "$@"; do case "$verb" in create|start|delete|kill|exec|state) break;; esac; done
strike() {{
  if [ "$(cat {step} 2>/dev/null)" = "$1-$verb" ]; then
    rm {step}
    if [ -e {victim} ]; then kill -9 "$(cat {victim})"; else kill -9 $PPID; fi
    if [ ! -e {victim} ]; then while [ "$(cut -d' ' -f4 /proc/$$/stat)" = $PPID ]; do sleep 0.01; done; fi
  fi
}}
strike before
{real} "$@"
status=$?
strike after
exit $status
"""

STEPS = [f"{when}-{verb}" for verb in ("create", "start", "delete") for when in ("before", "after")]


@pytest.fixture
def killing_host(busybox_host, tmp_path):
    """Its `run` uses the runtime above; `strike(step, victim)` arms it."""
    script = tmp_path / "runtime"
    real = f"{busybox_host.interpreter} -I -S {os.path.dirname(estiba.runtime.__file__)}/launcher.py"
    script.write_text(RUNTIME.format(victim=tmp_path / "victim", step=tmp_path / "step", real=real))
    script.chmod(0o755)
    busybox_host.killer = ["--runtime", str(script)]
    busybox_host.step = tmp_path / "step"
    busybox_host.victim = tmp_path / "victim"
    return busybox_host


def run(host, *arguments: str) -> subprocess.CompletedProcess[str]:
    done: subprocess.CompletedProcess[str] = host.estiba(*host.killer, "run", *arguments, check=False)
    return done


@pytest.mark.host_ids("the killer stands in the place of the runtime, and another runtime cannot have them")
@pytest.mark.parametrize("step", STEPS)
def test_the_monitor_is_killed_at_a_step_of_its_work(killing_host, step):
    """The command fails with a word, the container can be started again, and nothing of the first try is left."""
    killing_host.step.write_text(step)
    done = run(killing_host, "--name", "one", "-p", "80", "busybox", "echo", "hello")
    assert not killing_host.step.exists(), "the step was not reached"
    assert done.returncode != 0
    assert "monitor" in done.stderr
    expected = "exited" if step in ("before-delete", "after-delete") else "created"
    assert killing_host.state("one") == expected
    assert os.listdir(f"{killing_host.run_directory}/containers") == []
    again = killing_host.estiba("start", "-a", "one")
    assert again.stdout == "hello\n"
    assert killing_host.inspect("one")["State"]["ExitCode"] == 0


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_monitor_of_a_container_to_be_removed_leaves_no_container(killing_host, step):
    killing_host.step.write_text(step)
    assert run(killing_host, "--rm", "busybox", "true").returncode != 0
    assert killing_host.estiba("ps", "-aq").stdout == ""
    assert os.listdir(f"{killing_host.root}/containers") == []
    assert os.listdir(f"{killing_host.run_directory}/containers") == []


@pytest.mark.parametrize("step", STEPS)
def test_the_command_is_killed_while_its_container_starts_or_ends(killing_host, step):
    """The monitor finishes what was begun: a container that runs to its end, and is removed as asked."""
    command = killing_host.command(*killing_host.killer, "run", "--rm", "--name", "one", "busybox", "true")
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    killing_host.victim.write_text(str(process.pid))
    killing_host.step.write_text(step)
    process.wait(timeout=30)
    killing_host.wait_until(lambda: not killing_host.monitors(), "the monitor ends")
    assert killing_host.estiba("ps", "-aq").stdout == ""
    assert os.listdir(f"{killing_host.root}/containers") == []


def test_a_killed_monitor_takes_its_running_container_with_it(busybox_host):
    """Nobody would keep its output any more: the next command ends it, and says so."""
    busybox_host.estiba("run", "-d", "--name", "one", "-p", "80", "busybox", "sleep", "1000")
    pid = busybox_host.inspect("one")["State"]["Pid"]
    (monitor,) = busybox_host.monitors()
    os.kill(monitor, signal.SIGKILL)
    state = busybox_host.inspect("one")["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 137)
    assert "monitor" in state["Error"]
    assert start_time(pid) is None  # gone, or a zombie until the machine's first process waits for it
    busybox_host.estiba("start", "one")
    assert busybox_host.state("one") == "running"


@pytest.mark.parametrize("verb", ["stop", "kill", "rm", "exec", "start", "wait", "logs", "port"])
def test_every_command_works_as_the_first_one_after_a_killed_monitor(busybox_host, verb):
    busybox_host.estiba("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    os.kill(busybox_host.monitors()[0], signal.SIGKILL)
    more = ("true",) if verb == "exec" else ()
    done = busybox_host.estiba(verb, "one", *more, check=False)
    if verb in ("kill", "exec"):
        assert done.returncode != 0
        assert "not running" in done.stderr
    else:
        assert done.returncode == 0, done.stderr


def test_a_killed_container_has_the_exit_code_of_its_signal(busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    os.kill(busybox_host.inspect("one")["State"]["Pid"], signal.SIGKILL)
    assert busybox_host.estiba("wait", "one").stdout == "137\n"


def test_a_killed_stop_leaves_a_container_that_can_be_stopped(busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", "busybox", "sh", "-c", "trap '' TERM; sleep 1000")
    command = busybox_host.start("stop", "-t", "1000", "one")
    busybox_host.wait_until(lambda: len(os.listdir(f"/proc/{command.pid}/fd")) > 5, "the command talks to the monitor")
    command.kill()
    command.communicate()
    assert busybox_host.state("one") == "running"
    busybox_host.estiba("stop", "-t", "0", "one")
    assert busybox_host.state("one") == "exited"


def test_a_removal_that_was_killed_is_finished_by_the_next_command(busybox_host):
    """The row still says that it is being removed; some of its files are gone already."""
    busybox_host.estiba("create", "--name", "one", "busybox")
    import sqlite3

    with sqlite3.connect(f"{busybox_host.root}/state.db") as database:
        database.execute("UPDATE containers SET state = 'removing'")
    database.close()
    assert busybox_host.estiba("ps", "-aq").stdout == ""
    assert os.listdir(f"{busybox_host.root}/containers") == []


def test_a_removal_that_was_killed_takes_no_volume_that_may_be_wanted(busybox_host):
    """`rm` keeps anonymous volumes and `rm -v` does not; which of them it was, a killed one has told nobody."""
    busybox_host.estiba("create", "--name", "one", "-v", "/data", "busybox")
    import sqlite3

    with sqlite3.connect(f"{busybox_host.root}/state.db") as database:
        database.execute("UPDATE containers SET state = 'removing'")
    database.close()
    assert busybox_host.estiba("ps", "-aq").stdout == ""
    (kept,) = busybox_host.estiba("volume", "ls", "-q").stdout.split()
    busybox_host.estiba("volume", "rm", kept)


def test_after_a_reboot_a_container_that_ran_has_ended(busybox_host):
    """A reboot is what is left of it: a free lock, another boot id, an empty run directory."""
    busybox_host.estiba("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    busybox_host.estiba("kill", "one")
    import sqlite3

    with sqlite3.connect(f"{busybox_host.root}/state.db") as database:
        database.execute("UPDATE containers SET state = 'running', boot = 'another', pid = 1")
    database.close()
    state = busybox_host.inspect("one")["State"]
    assert (state["Status"], state["ExitCode"], state["Pid"]) == ("exited", 255, 0)


def test_the_garbage_collection_clears_what_no_other_command_meets(busybox_host):
    """A command killed between making a container's directory and its row, and a killed monitor; the young stays."""
    busybox_host.estiba("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    os.kill(busybox_host.monitors()[0], signal.SIGKILL)
    for name, age in (("a" * 64, 1000), ("b" * 64, 0)):
        place = f"{busybox_host.root}/containers/{name}"
        os.makedirs(place)
        os.chown(place, (of_host := os.stat(busybox_host.root)).st_uid, of_host.st_gid)
        os.utime(place, (1, 1) if age else None)
    printed = busybox_host.estiba("gc").stdout
    assert "container one" in printed
    assert "a" * 64 in printed
    assert busybox_host.state("one") == "exited"
    assert not os.path.exists(f"{busybox_host.root}/containers/{'a' * 64}")
    assert os.path.exists(f"{busybox_host.root}/containers/{'b' * 64}")
