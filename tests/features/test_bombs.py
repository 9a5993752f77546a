"""A container that takes all it can leaves the host and its neighbours well: a neighbour answers meanwhile."""

from __future__ import annotations

import os
import signal

import pytest

pytestmark = [pytest.mark.root, pytest.mark.slow]

# Seconds that a neighbour may take to answer; a busy machine is slow, a machine that is taken does not answer.
_ANSWER = 30
# Kibibytes of a monitor whose container floods it, shared pages counted in part (PSS).
_LARGEST_MONITOR = 16 * 1024
_BOUNDS = ("--pids-limit", "100", "-m", "96m", "--cpus", "0.5", "--network", "none")


@pytest.fixture
def neighbour(busybox_host):
    """Asks a container that runs beside the bomb."""
    busybox_host.estiba("run", "-d", "--name", "neighbour", "--network", "none", "busybox", "sleep", "1000")

    def answers() -> bool:
        done = busybox_host.estiba("exec", "neighbour", "echo", "well", timeout=_ANSWER)
        return done.stdout == "well\n"

    return answers


def bomb(host, script: str, *options: str) -> int:
    """Starts one; gives the process id of its monitor."""
    before = set(host.monitors())
    host.estiba("run", "-d", "--name", "bomb", *_BOUNDS, *options, "busybox", "sh", "-c", script)
    (monitor,) = set(host.monitors()) - before
    return monitor


def defuse(host) -> None:
    host.estiba("rm", "-f", "bomb", timeout=60)
    assert host.estiba("ps", "-a", "--format", "{{.Names}}").stdout.split() == ["neighbour"]


def test_forks_without_end(busybox_host, neighbour):
    bomb(busybox_host, "bomb() { bomb | bomb & }; bomb; sleep 1000")
    assert neighbour()
    defuse(busybox_host)


def test_memory_without_end(busybox_host, neighbour):
    done = busybox_host.estiba(
        *("run", "--name", "bomb", *_BOUNDS, "-m", "24m", "--memory-swap", "24m"),
        *("busybox", "sh", "-c", "a=x; while :; do a=$a$a; done"),
        check=False,
    )
    assert done.returncode == 137
    assert busybox_host.inspect("bomb")["State"]["OOMKilled"] is True
    assert neighbour()
    defuse(busybox_host)


@pytest.mark.parametrize("script", ["yes", "tr '\\0' a </dev/zero"], ids=["lines", "one line"])
def test_output_without_end_fills_neither_disk_nor_memory(busybox_host, neighbour, script):
    monitor = bomb(busybox_host, script, "--log-opt", "max-size=1m", "--log-opt", "max-file=2")
    identity = busybox_host.inspect("bomb")["Id"]
    log = f"{busybox_host.root}/containers/{identity}/{identity}-json.log"
    busybox_host.wait_until(lambda: f"{log}.1" in _sizes(log), "the log takes turns")
    first = _changed(log)
    busybox_host.wait_until(lambda: _changed(f"{log}.1") > first, "and again")
    assert neighbour()
    sizes = _sizes(log)
    assert set(sizes) <= {log, f"{log}.1"}
    assert max(sizes.values()) <= 1_100_000
    with open(f"/proc/{monitor}/smaps_rollup", encoding="ascii") as file:
        size = next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    assert size < _LARGEST_MONITOR
    defuse(busybox_host)


def _sizes(log: str) -> dict[str, int]:
    """The files of a log that takes turns meanwhile."""
    found = {}
    for name in os.listdir(os.path.dirname(log)):
        path = f"{os.path.dirname(log)}/{name}"
        if path.startswith(log):
            try:
                found[path] = os.stat(path).st_size
            except FileNotFoundError:
                pass  # it has just been renamed
    return found


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return 0


def test_descriptors_without_end(busybox_host, neighbour):
    script = 'i=3; while eval "exec $i</dev/null"; do i=$((i+1)); done; sleep 1000'
    bomb(busybox_host, script, "--ulimit", "nofile=256:256")
    assert neighbour()
    defuse(busybox_host)


def test_zombies_without_end(busybox_host, neighbour):
    """Their father is `sleep`, which waits for nobody."""
    bomb(busybox_host, "i=0; while [ $i -lt 90 ]; do true & i=$((i+1)); done; exec sleep 1000")
    assert neighbour()
    busybox_host.estiba("stop", "-t", "0", "bomb", timeout=60)
    assert busybox_host.inspect("bomb")["State"]["ExitCode"] == 137
    defuse(busybox_host)


def test_a_stopped_first_process_can_be_ended(busybox_host, neighbour):
    bomb(busybox_host, "sleep 1000")
    os.kill(busybox_host.inspect("bomb")["State"]["Pid"], signal.SIGSTOP)
    assert neighbour()
    busybox_host.estiba("stop", "-t", "1", "bomb", timeout=60)
    assert busybox_host.inspect("bomb")["State"]["ExitCode"] == 137
    defuse(busybox_host)


def test_shared_memory_ends_at_64_mebibytes(busybox_host):
    done = busybox_host.estiba("run", "--rm", "--network", "none", "busybox", "df", "-k", "/dev/shm")
    assert done.stdout.splitlines()[1].split()[1] == "65536"


def test_a_program_that_closes_its_output_lives_to_its_end(busybox_host):
    script = "exec >&- 2>&-; sleep 0.2; exit 7"
    done = busybox_host.estiba("run", "--rm", "--network", "none", "busybox", "sh", "-c", script, check=False)
    assert done.returncode == 7


def test_a_child_that_keeps_the_output_open_holds_nobody_up(busybox_host):
    script = "sleep 1000 & echo said; exit 3"
    command = ("run", "--rm", "--network", "none", "busybox", "sh", "-c", script)
    done = busybox_host.estiba(*command, check=False, timeout=_ANSWER)
    assert (done.returncode, done.stdout) == (3, "said\n")


def test_a_large_command_arrives_whole(busybox_host):
    words = ["x" * 1000] * 1000
    script = "echo $#; echo ${#1}"
    command = ("run", "--rm", "--network", "none", "busybox", "sh", "-c", script, "sh", *words)
    assert busybox_host.estiba(*command).stdout == "1000\n1000\n"
