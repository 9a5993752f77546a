"""Where something runs out, whoever asks for more is told, nothing is left of the attempt, and a neighbour lives on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from estiba.networks.networks import Networks
from ordinary_user import User, ordinary_user
from waiting import wait_until

pytestmark = [pytest.mark.root("limits, networks and disks of its own"), pytest.mark.slow]

_ANSWER = 60  # seconds that a neighbour may take on a busy machine
QUIET = ("--network", "none")


@pytest.fixture
def neighbour(busybox_host):
    """Asks a container that runs beside."""
    busybox_host.estiba("run", "-d", "--name", "neighbour", *QUIET, "busybox", "sleep", "1000")

    def answers() -> bool:
        return busybox_host.estiba("exec", "neighbour", "echo", "well", timeout=_ANSWER).stdout == "well\n"

    return answers


def test_ten_thousand_zombies(busybox_host, neighbour):
    """Their father is `sleep`, which buries nobody, and the limit of processes counts them."""
    words = ("--pids-limit", "10000", "busybox", "sleep", "1000")
    busybox_host.estiba("run", "-d", "--name", "bomb", *QUIET, *words)
    pid = busybox_host.inspect("bomb")["State"]["Pid"]
    script = "i=0; while [ $i -lt 11000 ]; do (: &); i=$((i+1)); done"  # orphans, whom the first process inherits
    busybox_host.estiba("exec", "bomb", "sh", "-c", script, check=False, timeout=110)
    assert 9900 < _number_of_children(pid) <= 10000
    assert neighbour()
    refused = busybox_host.estiba("exec", "bomb", "true", check=False, timeout=_ANSWER)
    assert refused.returncode in (0, 125, 126)
    busybox_host.estiba("rm", "-f", "bomb", timeout=_ANSWER)
    assert busybox_host.estiba("ps", "-a", "--format", "{{.Names}}").stdout == "neighbour\n"


def _number_of_children(pid: int) -> int:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return len(file.read().split())


def test_logs_are_followed_where_no_watch_is_left(busybox_host):
    """The kernel gives each user so many watches of files (inotify), and a container's root may be the host's."""
    script = "echo first; until [ -e /go ]; do sleep 0.02; done; echo second"
    busybox_host.estiba("run", "-d", "--name", "one", *QUIET, "busybox", "sh", "-c", script)
    taken = _take_all_watches()
    try:
        with busybox_host.start("logs", "-f", "one") as command:
            assert command.stdout.readline() == "first\n"
            busybox_host.estiba("exec", "one", "touch", "/go")
            assert command.stdout.readline() == "second\n"
            assert command.wait(timeout=_ANSWER) == 0
    finally:
        for descriptor in taken:
            os.close(descriptor)


def _take_all_watches() -> list[int]:
    from estiba.linux.libc import libc

    taken: list[int] = []
    while (descriptor := libc.inotify_init1(os.O_CLOEXEC)) >= 0:
        taken.append(descriptor)
    assert taken, "this user has none to begin with"
    return taken


def test_a_container_with_ids_of_its_own_takes_no_watch_of_root(busybox_host):
    try:
        busybox_host.estiba("run", "--rm", "--userns=auto", *QUIET, "busybox", "true")
    except pytest.fail.Exception:
        pytest.skip("there are no ids of its own here")
    with open("/proc/sys/fs/inotify/max_user_instances", encoding="ascii") as file:
        most = int(file.read())
    if most > 1000:
        pytest.skip(f"{most} watches are too many to take")
    script = f"i=0; while [ $i -lt {most + 10} ]; do inotifyd - /:c >/dev/null 2>&1 & i=$((i+1)); done"
    script += "; echo taken; wait"
    busybox_host.estiba("run", "-d", "--userns=auto", "--name", "bomb", *QUIET, "busybox", "sh", "-c", script)
    wait_until(lambda: busybox_host.estiba("logs", "bomb").stdout == "taken\n", "the watches are taken")
    mine = _take_all_watches()
    for descriptor in mine:
        os.close(descriptor)
    assert len(mine) > most // 2


@pytest.fixture
def user() -> Iterator[User]:
    yield from ordinary_user(has_ranges=True)


_TAKE_ALL_KEYS = """
import ctypes, os, sys
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
libc = ctypes.CDLL(None, use_errno=True)
add_key = {"x86_64": 248, "aarch64": 217}[os.uname().machine]
number = 0
while libc.syscall(add_key, b"user", b"test:%d" % number, b"x", ctypes.c_size_t(1), -1) >= 0:
    number += 1
print("taken", flush=True)
sys.stdin.read()
"""


def test_an_ordinary_user_without_a_kernel_key_left_is_told(user: User) -> None:
    """Each container has a keyring of its own, which counts among its user's keys."""
    with subprocess.Popen(
        [sys.executable, "-c", _TAKE_ALL_KEYS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as thief:
        assert thief.stdout is not None and thief.stdout.readline() == "taken\n"
        done = user("run", "--rm", *QUIET, "busybox", "true", check=False)
        thief.kill()
    assert (done.returncode, "no kernel key left" in done.stderr) == (125, True), done.stderr
    assert user("ps", "-aq").stdout == ""
    # The kernel takes the keys back a little later.
    wait_until(lambda: user("run", "--rm", *QUIET, "busybox", "true", check=False).returncode == 0, "it has keys again")


def test_the_addresses_of_a_small_network_run_out(busybox_host):
    busybox_host.estiba("network", "create", "--subnet", "10.213.7.0/29", "small")
    words = ("run", "-d", "--network", "small", "busybox", "sleep", "1000")
    for _ in range(5):  # of eight, two name the network and one is the bridge's
        busybox_host.estiba(*words)
    before = busybox_host.estiba("ps", "-aq").stdout.split()
    refused = busybox_host.estiba("run", "--rm", *words[2:], check=False)
    assert refused.returncode == 125
    assert "no address is left in 10.213.7.0/29" in refused.stderr
    assert busybox_host.estiba("ps", "-aq").stdout.split() == before
    busybox_host.estiba("rm", "-f", before[0])
    busybox_host.estiba(*words)


def test_a_range_of_ports_runs_out(busybox_host):
    first = _two_free_ports()
    words = ("-p", f"{first}-{first + 1}:80-81", "busybox", "sleep", "1000")
    busybox_host.estiba("run", "-d", "--name", "one", *words)
    refused = busybox_host.estiba("run", "--rm", "--name", "two", *words, check=False)
    assert refused.returncode == 125
    assert f"port {first}" in refused.stderr
    assert busybox_host.estiba("ps", "-a", "--format", "{{.Names}}").stdout == "one\n"
    busybox_host.estiba("rm", "-f", "one")
    busybox_host.estiba("run", "-d", "--name", "two", *words)


def _two_free_ports() -> int:
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


@pytest.fixture
def small_places(busybox_host) -> Iterator[tuple[str, str]]:
    """The store and the run directory on disks of their own, of 24 and 2 megabytes; the image is moved along."""
    places = (busybox_host.root, busybox_host.run_directory)
    for place, size in zip(places, ("24m", "2m"), strict=True):
        subprocess.run(["mv", place, f"{place}.old"], check=True)
        os.mkdir(place, 0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "estiba-test", place], check=True)
        subprocess.run(["cp", "-a", f"{place}.old/.", place], check=True)
    yield places
    busybox_host.remove_everything()
    Networks(root=busybox_host.root, run=busybox_host.run_directory).teardown()
    for place in places:
        subprocess.run(["umount", "-l", place], check=True)


def _fill(place: str) -> str:
    path = f"{place}/filling"
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return path


def test_a_container_outlives_a_full_disk_under_its_log_and_its_record(busybox_host, small_places):
    script = "echo before; until [ -e /tmp/go ]; do sleep 0.05; done; yes | head -n 100000; echo after; exit 7"
    words = ("run", "-d", "--name", "one", *QUIET, "--tmpfs", "/tmp", "busybox", "sh", "-c", script)
    busybox_host.estiba(*words)
    filling = _fill(small_places[0])
    busybox_host.estiba("exec", "one", "touch", "/tmp/go")
    busybox_host.wait_until(lambda: not busybox_host.monitors(), "it writes to its end, and the monitor's ends too")
    refused = busybox_host.estiba("run", "--rm", *QUIET, "busybox", "true", check=False)
    assert refused.returncode == 125
    assert "No space left" in refused.stderr or "disk is full" in refused.stderr
    os.unlink(filling)
    assert busybox_host.state("one") == "exited"
    assert busybox_host.estiba("logs", "one").stdout.startswith("before\n")
    assert busybox_host.estiba("run", "--rm", *QUIET, "busybox", "echo", "well").stdout == "well\n"
    assert busybox_host.estiba("ps", "-a", "--format", "{{.Names}}").stdout == "one\n"


def test_a_full_disk_under_the_run_directory_is_told_and_stops_nobody(busybox_host, small_places):
    busybox_host.estiba("run", "-d", "--name", "one", *QUIET, "busybox", "sleep", "1000")
    filling = _fill(small_places[1])
    refused = busybox_host.estiba("run", "--rm", "--name", "two", *QUIET, "busybox", "true", check=False)
    assert refused.returncode == 125
    assert "No space left" in refused.stderr or "disk is full" in refused.stderr
    assert busybox_host.estiba("exec", "one", "echo", "well").stdout == "well\n"
    busybox_host.estiba("stop", "-t", "0", "one")
    os.unlink(filling)
    assert busybox_host.estiba("ps", "-a", "--format", "{{.Names}}").stdout == "one\n"
    busybox_host.estiba("start", "one")
    assert busybox_host.estiba("exec", "one", "echo", "well").stdout == "well\n"


@pytest.mark.parametrize("door", ["attach", "exec"])
def test_connections_without_end_to_a_monitor(busybox_host, neighbour, door, monkeypatch):
    """By its own user, who alone may connect: the monitor goes on, and the other door stays open."""
    script = "while :; do echo line; sleep 0.05; done"
    command = busybox_host.command("run", "-d", "--name", "one", *QUIET, "busybox", "sh", "-c", script)
    # A monitor may have as many descriptors as the command that starts it.
    subprocess.run(["sh", "-c", 'ulimit -n 128; exec "$@"', "sh", *command], check=True, stdout=subprocess.DEVNULL)
    (monitor,) = set(busybox_host.monitors()) - {_monitor_of(busybox_host, "neighbour")}
    # The address of a socket is short: it is named from its directory.
    monkeypatch.chdir(f"{busybox_host.run_directory}/containers/{busybox_host.inspect('one')['Id']}")
    held = []
    kind = socket.SOCK_SEQPACKET if door == "exec" else socket.SOCK_STREAM
    while len(held) < 1000:
        connection = socket.socket(socket.AF_UNIX, kind)
        connection.settimeout(1)
        held.append(connection)
        try:
            connection.connect(door)
        except (BlockingIOError, TimeoutError):
            break  # as many wait as may
    assert 40 < len(held) < 1000
    assert busybox_host.monitors().count(monitor) == 1
    assert neighbour()
    lines = len(busybox_host.estiba("logs", "one").stdout)
    busybox_host.wait_until(lambda: len(busybox_host.estiba("logs", "one").stdout) > lines, "output is still kept")
    if door == "attach":
        assert busybox_host.estiba("exec", "one", "echo", "well", timeout=_ANSWER).stdout == "well\n"
        for connection in held:
            connection.close()
    busybox_host.estiba("stop", "-t", "0", "one", timeout=_ANSWER)
    for connection in held:
        connection.close()
    assert busybox_host.inspect("one")["State"]["ExitCode"] == 137


def _monitor_of(host, name: str) -> int:
    with open(f"/proc/{host.inspect(name)['State']['Pid']}/stat", encoding="ascii") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def test_an_environment_that_no_program_can_get_is_told(busybox_host, tmp_path):
    """The kernel takes 128 kibibytes in one entry (execve(2), E2BIG)."""
    file = tmp_path / "environment"
    file.write_text("LARGE=" + "x" * 200_000 + "\n")
    refused = busybox_host.estiba("run", "--rm", *QUIET, "--env-file", str(file), "busybox", "true", check=False)
    assert refused.returncode in (125, 126)
    assert "rgument list too long" in refused.stderr
    assert busybox_host.estiba("ps", "-aq").stdout == ""
    file.write_text("".join(f"LARGE{number}=" + "x" * 100_000 + "\n" for number in range(15)))
    words = ("run", "--rm", *QUIET, "--env-file", str(file), "busybox", "sh", "-c", "echo ${#LARGE14}")
    assert busybox_host.estiba(*words).stdout == "100000\n"


def test_a_thousand_mounts(busybox_host):
    mounts = [word for number in range(1000) for word in ("--tmpfs", f"/mounts/{number}:size=4k")]
    busybox_host.estiba("run", "-d", "--name", "one", *QUIET, *mounts, "busybox", "sleep", "1000")
    shown = busybox_host.estiba("exec", "one", "grep", "-c", " /mounts/", "/proc/mounts").stdout
    assert shown == "1000\n"
    busybox_host.estiba("rm", "-f", "one", timeout=_ANSWER)


def test_a_thousand_mounts_of_the_containers_own_go_with_it(busybox_host, neighbour):
    script = "mkdir /m; i=0; while [ $i -lt 1000 ]; do mount -t tmpfs -o size=4k m /m && i=$((i+1)); done; echo done"
    words = ("--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "busybox", "sh", "-c", script)
    assert busybox_host.estiba("run", "--rm", *QUIET, *words, timeout=_ANSWER).stdout == "done\n"
    assert neighbour()
