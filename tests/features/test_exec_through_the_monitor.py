"""`estiba exec` asks the monitor of the container, which brings the process in and keeps nothing of it."""

from __future__ import annotations

import _socket
import os
import signal
import subprocess
import sys

import pytest

from estiba.engine import exec_channel as channel
from estiba.engine.exec_options import ExecOptions
from monitors import descriptors, is_settled, monitor_of, own_memory, settle, stat_of

pytestmark = pytest.mark.root


@pytest.fixture
def running(busybox_host):
    """A host with the running container `one`: its `id`, its `pid`, its `monitor`, its `bundle`."""
    busybox_host.estiba("run", "-d", "--name", "one", "--network", "none", "busybox", "sleep", "1000")
    found = busybox_host.inspect("one")
    busybox_host.id, busybox_host.pid = found["Id"], found["State"]["Pid"]
    busybox_host.monitor = stat_of(busybox_host.pid)[1]
    busybox_host.bundle = f"{busybox_host.run_directory}/containers/{busybox_host.id}"
    return busybox_host


def process_of(host, words: str) -> int:
    """The container's process whose command line is `words`, as the host sees it."""
    lines = host.estiba("top", "one", "-e", "-o", "pid,args").stdout.splitlines()
    return next(int(line.split()[0]) for line in lines if line.split()[1:] == words.split())


def test_the_process_is_a_child_of_the_monitor(running):
    command = running.start("exec", "one", "sh", "-c", "echo ready; exec sleep 300")
    assert command.stdout is not None
    assert command.stdout.readline() == "ready\n"
    process = process_of(running, "sleep 300")
    assert stat_of(process)[1] == running.monitor
    os.kill(process, signal.SIGTERM)
    command.communicate(timeout=20)
    assert command.returncode == 143


def test_a_monitor_that_takes_no_processes_in_leaves_it_to_the_runtime(running):
    """So is one that is older than this way."""
    os.unlink(f"{running.bundle}/exec")
    done = running.estiba(
        "exec", "-i", "one", "sh", "-c", "cat; echo err >&2; exit 5", check=False, input="in", stdin=None
    )
    assert (done.stdout, done.stderr, done.returncode) == ("in", "err\n", 5)
    assert running.estiba("exec", "one", "no-such-program", check=False).returncode == 127
    running.estiba("exec", "-d", "one", "sleep", "400")
    assert stat_of(process_of(running, "sleep 400"))[1] != running.monitor


@pytest.mark.usefixtures("settles_soon")
def test_who_may_trace_it_finds_nothing_of_other_containers_in_its_memory(busybox_host):
    """With CAP_SYS_PTRACE a container can read what joins it, which is a fork of its monitor."""
    secret = os.urandom(16).hex()
    busybox_host.estiba("create", "--name", "two", "-e", f"SECRET={secret}", "busybox", "true")
    flags = ("--network", "none", "--cap-add", "SYS_PTRACE")
    busybox_host.estiba("run", "-d", "--name", "one", *flags, "busybox", "sleep", "1000")
    monitor = monitor_of(busybox_host, "one")
    busybox_host.estiba("exec", "-d", "one", "sleep", "400")
    assert is_settled(monitor) or stat_of(process_of(busybox_host, "sleep 400"))[1] != monitor
    settle(busybox_host, "one")
    busybox_host.estiba("exec", "-d", "one", "sleep", "500")
    assert stat_of(process_of(busybox_host, "sleep 500"))[1] == monitor
    assert not in_memory(monitor, secret.encode())
    assert in_memory(monitor, busybox_host.inspect("one")["Id"].encode()), "the control: what is there is found"


def test_who_may_trace_it_is_not_joined_once_its_monitor_has_more_in_its_memory(busybox_host, monkeypatch):
    """After a restart by its policy the monitor is the full program again, with pages of the database."""
    monkeypatch.setenv("ESTIBA_SETTLE_AFTER", "1.5")
    secret = os.urandom(16).hex()
    busybox_host.estiba("create", "--name", "two", "-e", f"SECRET={secret}", "busybox", "true")
    flags = ("--network", "none", "--cap-add", "SYS_PTRACE", "--restart", "always", "--init")
    busybox_host.estiba("run", "-d", "--name", "one", *flags, "busybox", "sleep", "1000")
    monitor = settle(busybox_host, "one")
    os.kill(process_of(busybox_host, "sleep 1000"), signal.SIGKILL)
    state = "{{.State.Status}} {{.RestartCount}}"
    busybox_host.wait_until(
        lambda: busybox_host.estiba("inspect", "-f", state, "one").stdout == "running 1\n", "it runs again"
    )
    had_secret = in_memory(monitor, secret.encode())
    busybox_host.estiba("exec", "-d", "one", "sleep", "400")
    by_monitor = stat_of(process_of(busybox_host, "sleep 400"))[1] == monitor
    assert not by_monitor or (is_settled(monitor) and not in_memory(monitor, secret.encode()))
    assert had_secret or is_settled(monitor), "the control: there is something to be read"


def in_memory(pid: int, text: bytes) -> bool:
    """Whether the process has `text` in its memory."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as file:
        ranges = [line.split()[0].split("-") for line in file if line.split()[1].startswith("rw")]
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for first, last in ranges:
            memory.seek(int(first, 16))
            if text in memory.read(int(last, 16) - int(first, 16)):
                return True
    return False


def test_nothing_but_its_streams_is_open_in_the_process(running):
    script = "n=0; while [ $n -lt 64 ]; do [ -e /proc/$$/fd/$n ] && echo $n; n=$((n+1)); done"
    for flags in ([], ["-i"], ["-t"]):
        assert running.estiba("exec", *flags, "one", "sh", "-c", script).stdout.split() == ["0", "1", "2"]


def test_a_killed_command_leaves_the_process_and_the_monitor_keeps_nothing_of_it(running):
    before = descriptors(running.monitor)
    command = running.start("exec", "one", "sh", "-c", "echo ready; exec sleep 300")
    assert command.stdout is not None
    command.stdout.readline()
    command.kill()
    command.communicate()
    running.wait_until(lambda: descriptors(running.monitor) == before, "the monitor lets go of the command")
    process = process_of(running, "sleep 300")
    os.kill(process, signal.SIGTERM)
    running.wait_until(lambda: not os.path.exists(f"/proc/{process}"), "the monitor has waited for it")
    assert running.state("one") == "running"


def test_what_it_writes_after_its_monitor_was_killed_still_comes(running):
    command = running.start("exec", "-i", "one", "sh", "-c", "echo ready; read x; echo got $x", stdin=subprocess.PIPE)
    assert command.stdout is not None
    command.stdout.readline()
    os.kill(running.monitor, signal.SIGKILL)
    output, errors = command.communicate("words\n", timeout=20)
    assert output == "got words\n"
    assert command.returncode == 125
    assert "exit code is not known" in errors


@pytest.mark.usefixtures("settles_soon")
def test_many_at_once_have_their_own_streams_and_codes_and_leave_nothing(running):
    settle(running, "one")
    before = descriptors(running.monitor)
    running.estiba("exec", "one", "true")
    running.wait_until(lambda: descriptors(running.monitor) == before, "the monitor lets go of the first")
    memory = own_memory(running.monitor)
    commands = [running.start("exec", "one", "sh", "-c", f"echo {n}; exit {n}") for n in range(40)]
    ended = [(command.communicate(timeout=120)[0], command.returncode) for command in commands]
    assert ended == [(f"{n}\n", n) for n in range(40)]
    running.wait_until(lambda: descriptors(running.monitor) == before, "the monitor lets go of all of them")
    with open(f"/proc/{running.monitor}/task/{running.monitor}/children", encoding="ascii") as file:
        assert len(file.read().split()) == 1  # the container
    assert own_memory(running.monitor) - memory < 400


@pytest.mark.usefixtures("settles_soon")
def test_its_memory_does_not_grow_with_the_number_of_processes(running):
    def enter(times: int) -> int:
        for _ in range(times):
            assert ask(running, ExecOptions(("true",))) == 0
        return own_memory(running.monitor)

    settle(running, "one")
    first = enter(10)
    assert enter(50) - first < 60


def test_a_paused_container_refuses_and_its_monitor_is_not_held_up(running):
    runtime = [os.path.join(os.path.dirname(sys.executable), "estiba-runtime")]
    runtime += ["--root", f"{running.run_directory}/runtime"]
    subprocess.run([*runtime, "pause", running.id], check=True)
    try:
        done = running.estiba("exec", "one", "true", check=False, timeout=20)
        assert done.returncode == 125
        assert "paused" in done.stderr
    finally:
        subprocess.run([*runtime, "resume", running.id], check=True)
    running.estiba("exec", "one", "true")


def test_a_container_that_ends_while_it_is_asked_for_is_told(running):
    """The monitor is stopped until the question waits at its door and the container is dead."""
    os.kill(running.monitor, signal.SIGSTOP)
    try:
        command = running.start("exec", "one", "true")
        running.wait_until(lambda: _has_connected(command.pid), "the command has asked")
        os.kill(running.pid, signal.SIGKILL)
    finally:
        os.kill(running.monitor, signal.SIGCONT)
    _, errors = command.communicate(timeout=20)
    assert command.returncode == 125
    assert "not running" in errors
    running.wait_until(lambda: running.state("one") == "exited", "the container has ended")


def _has_connected(pid: int) -> bool:
    """It has sent its question: it waits for the answer in recvmsg(2)."""
    with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
        return file.read().split()[0] == "47"


def test_a_process_ends_with_its_container_and_the_container_ends_with_it(running):
    """The first process of a pid namespace does not end before all the others are gone and waited for."""
    command = running.start("exec", "one", "sh", "-c", "trap '' TERM; echo ready; exec sleep 300")
    assert command.stdout is not None
    command.stdout.readline()
    running.estiba("stop", "-t", "0", "one")
    command.communicate(timeout=20)
    assert command.returncode == 137
    assert running.state("one") == "exited"


def test_clients_that_say_nothing_or_nonsense_hold_nobody_up(running):
    before = descriptors(running.monitor)
    silent = [connect(running) for _ in range(50)]
    null = os.open(os.devnull, os.O_RDWR)
    nonsense = [(b"", (null,)), (b"?" * 4000, ()), (channel.REQUEST, (null, null))]
    for content, given in nonsense:
        connection = connect(running)
        channel.send(connection, content[:1], content[1:], given)
        assert channel.receive(connection).kind == b""
        connection.close()
    unreadable = connect(running)
    channel.send(unreadable, channel.REQUEST, descriptors=(null,) * 4)
    assert channel.receive(unreadable).kind == channel.FAILED
    unreadable.close()
    assert running.estiba("exec", "one", "echo", "hello").stdout == "hello\n"
    for connection in silent:
        connection.close()
    os.close(null)
    running.wait_until(lambda: descriptors(running.monitor) == before, "the monitor lets go of all of them")


def test_only_the_user_who_owns_the_container_is_heard(running):
    """Also where somebody has opened the directory and the socket to all."""
    os.chmod(f"{running.bundle}/exec", 0o666)
    os.chmod(running.bundle, 0o711)
    directory = os.open(running.bundle, os.O_PATH | os.O_DIRECTORY)
    child = os.fork()
    if child == 0:
        code = 2
        try:
            os.fchdir(directory)
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            stranger = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
            stranger.connect("exec")
            null = os.open(os.devnull, os.O_RDWR)
            channel.send(stranger, channel.REQUEST, descriptors=(null,) * 4)
            code = 0 if channel.receive(stranger).kind == b"" else 1
        finally:
            os._exit(code)
    os.close(directory)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def connect(host) -> _socket.socket:
    connection = channel.connect(host.bundle, "exec")
    assert connection is not None
    return connection


def ask(host, options: ExecOptions) -> int:
    """The exit code of the process, asked for without a command."""
    connection = connect(host)
    request = os.memfd_create("request")
    os.write(request, options.encoded())
    null = os.open(os.devnull, os.O_RDWR)
    channel.send(connection, channel.REQUEST, descriptors=(request, null, null, null))
    os.close(request)
    os.close(null)
    kind, content, given = channel.receive(connection)
    assert kind == channel.BEGUN, content
    os.close(given[0])
    kind, content, _ = channel.receive(connection)
    connection.close()
    assert kind == channel.ENDED
    return int(content)
