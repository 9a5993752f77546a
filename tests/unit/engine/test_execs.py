"""What a monitor tells of further processes, whatever becomes of those who bring them in, and in which order ever."""

from __future__ import annotations

import _socket
import errno
import os
import signal
import time

import pytest

from estiba.engine import exec_channel as channel
from estiba.engine.monitor import execs, joiner
from estiba.engine.monitor.execs import TOLD, Execs, Joined
from estiba.engine.monitor.loop import Loop


class Monitor:
    """As much of a monitor as execs need. `run` is what a joiner does, in a child: (telling) -> exit code."""

    def __init__(self, directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.loop = Loop()
        self.execs = Execs(self.loop, Joined("", "", ()), channel.listen(directory, "exec"))
        self._patch = monkeypatch

    def ask(self, run) -> _socket.socket:
        """A connection that has asked for a process; its joiner has been forked."""
        self._patch.setattr(joiner, "run", lambda _joined, _command, _given, told, _runtime: os._exit(run(told)))
        connection = channel.connect(self.directory, "exec")
        assert connection is not None
        null = os.open(os.devnull, os.O_RDWR)
        channel.send(connection, channel.REQUEST, descriptors=(null,) * 4)
        os.close(null)
        while not self.execs._joiners:
            self.loop.turn()
        return connection

    def close(self) -> None:
        self.execs.close()
        self.execs.close_pipe()


@pytest.fixture
def monitor(tmp_path, monkeypatch):
    made = Monitor(str(tmp_path), monkeypatch)
    yield made
    made.close()


def status_of(code: int) -> int:
    return code << 8


def test_without_descriptors_left_it_takes_the_next_one_once_somebody_leaves(monitor, monkeypatch):
    def none_left(_listener):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    first = monitor.ask(lambda _told: 0)
    listener = monitor.execs._listener.fileno()
    second = channel.connect(monitor.directory, "exec")
    with monkeypatch.context() as patched:
        patched.setattr(execs, "accept", none_left)
        monitor.loop.turn(time.monotonic() + 5)
    assert listener not in monitor.loop.descriptors, "else it would be told again and again"
    monitor.execs.ended(*os.waitpid(-1, 0))
    assert listener in monitor.loop.descriptors
    monitor.loop.turn(time.monotonic() + 5)
    assert len(monitor.execs._asking) == 1
    first.close()
    second.close()


def test_a_killed_joiner_is_told(monitor):
    connection = monitor.ask(lambda _told: os.kill(os.getpid(), signal.SIGKILL))
    monitor.execs.ended(*os.waitpid(-1, 0))
    kind, content, _ = channel.receive(connection)
    assert kind == channel.FAILED
    assert channel.facts(content)["exit_code"] == 125
    assert channel.receive(connection).kind == b""
    connection.close()


def test_the_end_of_a_process_is_told_also_where_it_comes_before_that_of_its_joiner(monitor):
    connection = monitor.ask(lambda told: os.write(told, TOLD.pack(os.getpid(), 999_999)) and 0)
    joiner_pid, status = os.waitpid(-1, 0)
    monitor.execs.ended(999_999, status_of(7))
    monitor.execs.ended(joiner_pid, status)
    assert channel.receive(connection)[:2] == (channel.ENDED, b"7")
    assert channel.receive(connection).kind == b""
    connection.close()


def test_children_that_nobody_asked_for_are_nobodys(monitor):
    connection = monitor.ask(lambda told: os.write(told, TOLD.pack(os.getpid(), 999_999)) and 0)
    monitor.execs.ended(*os.waitpid(-1, 0))
    monitor.execs.ended(888_888, status_of(1))
    monitor.execs.ended(999_999, signal.SIGTERM)
    assert channel.receive(connection)[:2] == (channel.ENDED, b"143")
    connection.close()


def test_who_goes_away_is_forgotten_and_the_process_with_it(monitor):
    connection = monitor.ask(lambda told: os.write(told, TOLD.pack(os.getpid(), 999_999)) and 0)
    connection.close()
    while monitor.execs._joiners:
        monitor.loop.turn()
    monitor.execs.ended(*os.waitpid(-1, 0))
    monitor.execs.ended(999_999, status_of(0))
    assert monitor.execs.state() is not None, "nothing is under way"
    assert monitor.loop.descriptors == monitor.execs.descriptors


def test_what_cannot_be_forked_is_told(monitor, monkeypatch):
    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    connection = channel.connect(monitor.directory, "exec")
    null = os.open(os.devnull, os.O_RDWR)
    channel.send(connection, channel.REQUEST, descriptors=(null,) * 4)
    os.close(null)
    monitor.loop.turn()
    monitor.loop.turn()
    kind, content, _ = channel.receive(connection)
    assert kind == channel.FAILED
    assert "no process can be made" in channel.facts(content)["message"]
    connection.close()


def test_the_monitors_own_requests_go_on_after_another_version_was_installed(monitor, monkeypatch):
    def own() -> bytes:
        """The kind of the answer."""
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        theirs.setblocking(False)
        null = os.open(os.devnull, os.O_RDWR)
        channel.send(ours, channel.REQUEST, descriptors=(null,) * 4)
        os.close(null)
        monitor.execs.take(theirs, None)
        monitor.loop.turn()
        if monitor.execs._joiners:
            monitor.execs.ended(*os.waitpid(-1, 0))
        kind = channel.receive(ours).kind
        ours.close()
        return kind

    monkeypatch.setattr(execs, "is_as_loaded", lambda: False)
    assert own() == channel.NOT_HERE, "what it needs would have to be loaded"
    monkeypatch.setattr(execs, "is_as_loaded", lambda: True)
    monitor.ask(lambda _told: 1).close()
    monitor.execs.ended(*os.waitpid(-1, 0))
    monkeypatch.setattr(execs, "is_as_loaded", lambda: False)
    assert own() == channel.FAILED, "its joiner was begun"
    connection = channel.connect(monitor.directory, "exec")
    null = os.open(os.devnull, os.O_RDWR)
    channel.send(connection, channel.REQUEST, descriptors=(null,) * 4)
    os.close(null)
    monitor.loop.turn()
    monitor.loop.turn()
    assert channel.receive(connection).kind == channel.NOT_HERE
    connection.close()
