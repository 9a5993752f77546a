"""Flags of runc's verbs that callers other than engines use, each as runc has it."""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import subprocess
import threading

import pytest

from estiba.linux.processes import send_signal

pytestmark = pytest.mark.root


def _directories(box, name: str) -> dict[str, str]:
    """The directory of the container's group by controller (version 1)."""
    with open(os.path.join(box.root, name, "state.json"), encoding="utf-8") as file:
        record = json.load(file)["cgroup"]
    return {controller: place + record["path"] for controller, place in record["controllers"].items()}


def _one_descriptor(listener: socket.socket, found: list[int]) -> None:
    connection, _ = listener.accept()
    _, ancillary, _, _ = connection.recvmsg(100, socket.CMSG_SPACE(4))
    found.append(array.array("i", ancillary[0][2])[0])
    connection.close()


@pytest.fixture
def pidfd_socket(box):
    """A path to listen at, and a function that gives the descriptor which came."""
    path = os.path.join(box.directory, "pidfd.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    found: list[int] = []
    thread = threading.Thread(target=_one_descriptor, args=(listener, found), daemon=True)
    thread.start()

    def take() -> int:
        thread.join(10)
        return found[0]

    yield path, take
    listener.close()
    for descriptor in found:
        os.close(descriptor)


def test_a_pidfd_of_a_created_container_goes_to_the_socket(box, pidfd_socket, wait_until) -> None:
    path, take = pidfd_socket
    result = box.call(
        "create", "-b", box.bundle("sleep", "1000"), "--pidfd-socket", path, "est-pidfd", capture_output=False
    )
    assert result.returncode == 0
    assert send_signal(take(), signal.SIGKILL)
    wait_until(lambda: box.client.state("est-pidfd").status == "stopped", "the container ends")


def test_a_pidfd_of_a_detached_exec_goes_to_the_socket(box, pidfd_socket, wait_until) -> None:
    path, take = pidfd_socket
    box.start("est-pidfd2", "sleep", "1000")
    pid_file = os.path.join(box.directory, "exec.pid")
    null = {"capture_output": False, "stdout": subprocess.DEVNULL}
    flags = ["-d", "--pid-file", pid_file, "--pidfd-socket", path]
    assert box.call("exec", *flags, "est-pidfd2", "sleep", "77", **null).returncode == 0
    with open(pid_file, encoding="ascii") as file:
        pid = file.read()
    assert send_signal(take(), signal.SIGKILL)

    def has_ended() -> bool:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                return file.read().rpartition(")")[2].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True

    wait_until(has_ended, "the program ends")
    assert box.client.state("est-pidfd2").status == "running"


def test_nobody_at_the_pidfd_socket_is_told_before_anything_is_made(box) -> None:
    done = box.call("run", "-b", box.bundle("true"), "--pidfd-socket", "/nowhere.sock", "est-nopidfd")
    assert done.returncode == 125
    assert "pidfd socket /nowhere.sock cannot be reached" in done.stderr
    assert not os.path.isdir(box.root) or os.listdir(box.root) == []


def test_exec_joins_a_group_below_the_containers(box) -> None:
    box.start("est-sub", "sleep", "1000")
    places = _directories(box, "est-sub")
    if not places:
        pytest.skip("control groups of version 2 alone")
    for controller in ("pids", "memory"):
        os.mkdir(places[controller] + "/inner")
    done = box.call("exec", "--cgroup", "pids,memory:inner", "est-sub", "cat", "/proc/self/cgroup")
    lines = [line.split(":", 2) for line in done.stdout.splitlines()]
    below = {controllers for _, controllers, path in lines if path.endswith("/inner")}
    assert below == {"pids", "memory"}, done.stderr
    assert box.call("exec", "--cgroup", "/", "est-sub", "true").returncode == 0


@pytest.mark.parametrize(
    ("place", "fact"),
    [
        ("..", "bad sub cgroup path"),
        ("pids:a/../../b", "bad sub cgroup path"),
        ("nonexistent", "no such file or directory"),
        ("pids:nonexistent", "no such file or directory"),
        ("whaaat:/", "unknown controller"),
    ],
)
def test_a_group_that_is_not_below_the_containers_is_refused(box, place: str, fact: str) -> None:
    box.start("est-subbad", "sleep", "1000")
    done = box.call("exec", "--cgroup", place, "est-subbad", "true")
    assert done.returncode != 0
    assert fact in done.stderr


def test_descriptors_to_preserve_must_be_open(box) -> None:
    done = box.call("run", "-b", box.bundle("true"), "--preserve-fds", "1", "est-nofd")
    assert done.returncode == 125
    assert "preserved-fd 0" in done.stderr


def test_ps_shows_what_ps_says_of_the_containers_processes(box) -> None:
    pid = box.start("est-psx", "sleep", "1000")
    title, line = box.call("ps", "est-psx").stdout.splitlines()
    assert title.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert line.split()[1] == str(pid)
    assert box.call("ps", "est-psx", "-e", "-x").stdout.split()[:5] == ["PID", "TTY", "STAT", "TIME", "COMMAND"]
    assert json.loads(box.call("ps", "-f", "json", "est-psx").stdout) == [pid]
    assert "shows no PID" in box.call("ps", "est-psx", "-o", "comm").stderr
    box.client.kill("est-psx", signal.SIGKILL)
    assert box.call("ps", "est-psx").returncode == 0


def test_a_kill_ends_all_where_the_processes_are_the_hosts(box, wait_until) -> None:
    """Also where the first process has ended: no namespace took the others with it."""
    box.start("est-hostpid", "sleep", "1000", pid="host")
    box.call("exec", "-d", "est-hostpid", "sleep", "1000", capture_output=False)
    processes = json.loads(box.call("ps", "-f", "json", "est-hostpid").stdout)
    assert len(processes) == 2
    os.kill(box.client.state("est-hostpid").pid, signal.SIGKILL)
    wait_until(lambda: box.client.state("est-hostpid").status == "stopped", "the first process ends")
    assert box.call("kill", "est-hostpid", "KILL").returncode == 0
    wait_until(lambda: box.call("ps", "-f", "json", "est-hostpid").stdout == "[]\n", "the others end")
    assert "not running" in box.call("kill", "est-hostpid", "KILL").stderr


def test_debug_messages_go_to_the_log_or_else_to_standard_error(box) -> None:
    bundle = box.bundle("true")
    assert "level=debug" in box.call("--debug", "run", "-b", bundle, "est-debug").stderr
    log = os.path.join(box.directory, "log")
    done = box.call("--debug", "--log", log, "--log-format", "json", "run", "-b", bundle, "est-debug")
    assert done.stderr == ""
    with open(log, encoding="utf-8") as file:
        assert {json.loads(line)["level"] for line in file} == {"debug"}


def test_limits_are_changed_with_units_and_from_standard_input(box) -> None:
    box.start("est-up", "sleep", "1000")
    places = _directories(box, "est-up")
    if not places:
        pytest.skip("control groups of version 2 alone")
    assert box.call("update", "--memory", "48M", "--pids-limit", "17", "est-up").returncode == 0
    with open(places["memory"] + "/memory.limit_in_bytes", encoding="ascii") as file:
        assert int(file.read()) == 48 << 20
    text = json.dumps({"pids": {"limit": 19}})
    assert box.call("update", "-r", "-", "est-up", stdin=None, input=text).returncode == 0
    with open(places["pids"] + "/pids.max", encoding="ascii") as file:
        assert int(file.read()) == 19
    assert "resctrl" in box.call("update", "--l3-cache-schema", "L3:0=f", "est-up").stderr
    assert "takes a size such as 32M" in box.call("update", "--memory", "much", "est-up").stderr


@pytest.mark.parametrize("verb", ["checkpoint", "restore"])
def test_saving_a_container_is_refused_clearly(box, verb: str) -> None:
    done = box.call(verb, "est-criu")
    assert done.returncode == 1
    assert f"{verb} is not there yet" in done.stderr


def test_exec_waits_in_a_paused_container_only_when_asked(box) -> None:
    box.start("est-psd", "sleep", "1000")
    box.client.pause("est-psd")
    done = box.call("exec", "est-psd", "true")
    assert done.returncode == 125
    assert "cannot exec in a paused container (use --ignore-paused to override)" in done.stderr
    process = subprocess.Popen([*box.command, "exec", "--ignore-paused", "est-psd", "true"], stdin=subprocess.DEVNULL)
    box.client.resume("est-psd")
    assert process.wait(timeout=20) == 0


def test_a_format_that_nobody_knows_is_refused(box) -> None:
    assert "--format is table or json" in box.call("list", "-f", "yaml").stderr


def test_an_update_without_a_limit_changes_nothing(box) -> None:
    box.start("est-upno", "sleep", "1000")
    assert box.call("update", "-r", "-", "est-upno", stdin=None, input="{}").returncode == 0
    assert "needs --resources" in box.call("update", "est-upno").stderr
