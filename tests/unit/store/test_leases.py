"""Leases end with their process, whatever its number is used for next."""

from __future__ import annotations

import os
import signal

import pytest

from estiba.linux import processes
from estiba.store.leases import boot_id


def test_a_lease_lives_from_enter_to_exit(store):
    with store.leases.hold("pull busybox"):
        (lease,) = store.leases.alive()
        assert str(lease) == f"pull busybox (process {os.getpid()})"
    assert store.leases.list() == []


def test_an_exception_ends_it_too(store):
    with pytest.raises(RuntimeError), store.leases.hold("x"):
        raise RuntimeError
    assert store.leases.list() == []


def test_the_lease_of_a_killed_process_does_not_count(store):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with store.leases.hold("a build"):
                os.write(writing, b"x")
                signal.pause()
        finally:
            os._exit(1)
    os.read(reading, 1)
    assert [lease.pid for lease in store.leases.alive()] == [child]
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert store.leases.alive() == ()
    assert len(store.leases.list()) == 1
    assert store.leases.sweep() == 1
    assert store.leases.list() == []
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("change", ["another start", "another boot"])
def test_a_reused_process_number_does_not_count(store, change):
    started = processes.start_time(os.getpid())
    assert started is not None
    row = (os.getpid(), started - 1, boot_id()) if change == "another start" else (os.getpid(), started, "other")
    leases = store.leases
    with store.database.transaction() as connection:
        connection.execute("INSERT INTO leases VALUES (NULL, ?, ?, ?, 'old', 0)", row)
    assert leases.alive() == ()
