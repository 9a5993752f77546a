"""A terminal in a container is a terminal: its size, its keys, raw while it is used, and as before afterwards."""

from __future__ import annotations

import os

import pytest

from terminals import Terminal

pytestmark = pytest.mark.without_root_too


@pytest.fixture
def terminal(busybox_host):
    opened: list[Terminal] = []

    def open_terminal(*arguments: str) -> Terminal:
        opened.append(Terminal(busybox_host.command(*arguments)))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()


def test_run_gives_the_container_a_terminal_of_the_users_size(terminal):
    session = terminal("run", "--rm", "-it", "busybox", "sh", "-c", "tty; stty size; echo $TERM; exit 3")
    assert session.expect(b"xterm\r\n") == b"/dev/pts/0\r\n33 99\r\nxterm\r\n"
    assert session.end() == 3


WAIT = "while [ \"$(stty size)\" = '33 99' ]; do sleep 0.02; done; stty size"


def test_a_new_size_reaches_the_container(terminal):
    session = terminal("run", "--rm", "-it", "busybox", "sh", "-c", f"echo ready; read x; {WAIT}")
    session.expect(b"ready\r\n")
    session.resize(44, 88)
    session.type(b"go\n")
    session.expect(b"44 88\r\n")
    assert session.end() == 0


def test_control_c_goes_to_the_program_and_not_to_the_command(terminal):
    script = "trap 'echo interrupted; exit 5' INT; echo ready; while :; do sleep 0.02; done"
    session = terminal("run", "--rm", "-it", "busybox", "sh", "-c", script)
    session.expect(b"ready\r\n")
    session.type(b"\x03")
    session.expect(b"interrupted\r\n")
    assert session.end() == 5


def test_keys_leave_the_container_which_goes_on_and_can_be_attached_to(terminal, busybox_host):
    session = terminal("run", "-it", "--name", "one", "busybox", "sh", "-c", "echo ready; read x; echo got $x; exit 6")
    session.expect(b"ready\r\n")
    session.type(b"\x10\x11")
    assert session.end() == 0
    assert busybox_host.state("one") == "running"
    again = terminal("attach", "one")
    busybox_host.wait_until(lambda: len(os.listdir(f"/proc/{again.process.pid}/fd")) > 5, "it has attached")
    again.type(b"words\n")
    again.expect(b"got words\r\n")
    assert again.end() == 6


def test_control_z_stops_the_program_and_the_shell_takes_it_up_again(terminal):
    session = terminal("run", "--rm", "-it", "busybox", "sh")
    session.expect(b"# ")
    session.type(b"echo begin; cat; echo came $?\n")
    session.expect(b"begin\r\n")
    session.type(b"one\n")
    session.expect(b"one\r\none\r\n")
    session.type(b"\x1a")
    session.expect(b"came 148\r\n")  # 128 and SIGTSTP's number
    session.type(b"jobs; echo and' 'now; fg\n")  # of the stop the prompt may tell too, before or after this is typed
    session.expect(b"Stopped")
    session.expect(b"and now\r\n")
    session.expect(b"cat\r\n")  # fg says what goes on
    session.type(b"two\n")
    session.expect(b"two\r\ntwo\r\n")
    session.type(b"\x04exit 9\n")
    assert session.end() == 9


def test_a_change_of_size_is_signalled_to_the_program(terminal):
    script = "trap 'stty size; exit 8' WINCH; echo ready; while :; do sleep 0.02; done"
    session = terminal("run", "--rm", "-it", "busybox", "sh", "-c", script)
    session.expect(b"ready\r\n")
    session.resize(40, 120)
    session.expect(b"40 120\r\n")
    assert session.end() == 8


def test_exec_follows_a_change_of_size_and_control_c(terminal, busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    script = "trap 'stty size' WINCH; trap 'exit 7' INT; echo ready; while :; do sleep 0.02; done"
    session = terminal("exec", "-it", "one", "sh", "-c", script)
    session.expect(b"ready\r\n")
    session.resize(40, 120)
    session.expect(b"40 120\r\n")
    session.type(b"\x03")
    assert session.end() == 7


def test_other_keys_may_leave_the_container(terminal, busybox_host):
    script = "echo ready; read x; echo got $x"
    session = terminal("run", "-it", "--detach-keys", "ctrl-x,q", "--name", "one", "busybox", "sh", "-c", script)
    session.expect(b"ready\r\n")
    session.type(b"\x18q")
    assert session.end() == 0
    assert busybox_host.state("one") == "running"


def test_exec_has_a_terminal_too(terminal, busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    session = terminal("exec", "-it", "one", "sh", "-c", "echo ready; read x; tty; stty size; exit 4")
    session.expect(b"ready\r\n")
    session.type(b"go\n")
    session.expect(b"go\r\n")
    assert session.expect(b"99\r\n") == b"/dev/pts/0\r\n33 99\r\n"
    assert session.end() == 4


def test_a_killed_command_leaves_the_container_running(terminal, busybox_host):
    session = terminal("run", "-it", "--name", "one", "busybox", "sh", "-c", "echo ready; sleep 1000")
    session.expect(b"ready\r\n")
    session.process.kill()
    session.process.wait()
    assert busybox_host.state("one") == "running"


def test_t_without_a_terminal_is_refused(busybox_host):
    done = busybox_host.estiba("run", "--rm", "-it", "busybox", "true", check=False)
    assert done.returncode == 125
    assert "not a terminal" in done.stderr
