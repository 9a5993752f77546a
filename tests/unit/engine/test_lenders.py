"""Namespaces of other containers are those of the process that was meant."""

from __future__ import annotations

import os
from typing import Any

import pytest

from estiba.engine.monitor.lenders import found_again, namespace_of
from estiba.engine.monitor.own_ids import _of_container
from estiba.engine.monitor.request import Borrowed
from estiba.errors import Conflict
from estiba.linux.processes import start_time


@pytest.mark.parametrize("kind", ["network", "user", "pid", "ipc"])
def test_a_process_that_has_the_number_of_another_lends_nothing(kind: str) -> None:
    started = start_time(os.getpid())
    assert started is not None
    right = Borrowed(kind, os.getpid(), started, "web", "w" * 64)
    descriptor = namespace_of(right)
    file = {"network": "net"}.get(kind, kind)
    assert os.path.samestat(os.fstat(descriptor), os.stat(f"/proc/self/ns/{file}"))
    os.close(descriptor)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(Conflict, match=r"container web has ended: its .* cannot be joined"):
        namespace_of(right._replace(started=started + 1))
    with pytest.raises(Conflict, match="has ended"):
        namespace_of(right._replace(pid=1 << 22))
    assert os.listdir("/proc/self/fd") == before


def test_ids_of_a_process_that_has_the_number_of_another_are_not_taken() -> None:
    started = start_time(os.getpid())
    assert started is not None
    right = Borrowed("user", os.getpid(), started, "web")
    assert _of_container(right, network=False) is None  # those that we have ourselves
    with pytest.raises(Conflict, match="its ids cannot be joined"):
        _of_container(right._replace(started=started + 1), network=False)


class Records:
    """A table of one container."""

    def __init__(self, state: str) -> None:
        self._state = state

    def find(self, text: str) -> Any:
        assert text == "w" * 64
        return type("Record", (), {"state": self._state, "pid": 7, "pid_start": 8, "name": "renamed"})


class Request:
    """What is borrowed, and nothing else."""

    def __init__(self, *borrowed: Borrowed) -> None:
        self.borrowed = borrowed

    def _replace(self, *, borrowed: tuple[Borrowed, ...]) -> Request:
        return Request(*borrowed)


def test_at_a_restart_the_process_is_looked_for_again() -> None:
    old = Borrowed("network", 1, 2, "web", "w" * 64)
    ids = Borrowed("user", 1, 2, "web", "w" * 64)
    request: Any = Request(old, ids)
    found: Any = found_again(request, Records("running"))  # type: ignore[arg-type]
    assert found.borrowed == (Borrowed("network", 7, 8, "renamed", "w" * 64), ids)  # the namespace of the ids is held
    with pytest.raises(Conflict, match="container renamed is not running: its network cannot be joined"):
        found_again(request, Records("exited"))  # type: ignore[arg-type]
