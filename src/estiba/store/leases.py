"""Leases: "I am adding things that nothing refers to yet". While one is held, gc removes nothing that is unreachable.

A lease belongs to a process, named by its number, its start time and the boot, so that it ends with the process and
another process under a reused number does not count.
"""

from __future__ import annotations

import os
import time
from types import TracebackType

from estiba.errors import Unavailable
from estiba.linux import processes
from estiba.store.database import Database
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Self

TABLES = (
    """CREATE TABLE leases (
        id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, started INTEGER NOT NULL, boot TEXT NOT NULL,
        reason TEXT NOT NULL, since INTEGER NOT NULL)""",
)


class LeaseRecord(NamedTuple):
    """`started` is the process's start in clock ticks since the boot `boot`; `since` is in Unix seconds."""

    id: int
    pid: int
    started: int
    boot: str
    reason: str
    since: int

    @property
    def is_alive(self) -> bool:
        """Whether the very process that took it still runs."""
        return self.boot == boot_id() and processes.start_time(self.pid) == self.started

    def __str__(self) -> str:
        return f"{self.reason} (process {self.pid})"


class Leases:
    """Lives in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ended: set[int] = set()  # whose rows could not be removed, on a full disk
        database.migrate("leases", TABLES)

    def hold(self, reason: str) -> Lease:
        """``with leases.hold("pull busybox"):`` protects whatever is added or found within, until its end.

        Waits while a gc is just removing; what is looked up after that is safe.
        """
        return Lease(self._database, reason, self._ended)

    def alive(self) -> tuple[LeaseRecord, ...]:
        """The leases whose processes live, the oldest first."""
        return tuple(lease for lease in self.list() if lease.id not in self._ended and lease.is_alive)

    def list(self) -> list[LeaseRecord]:
        with self._database.read() as connection:
            rows = connection.execute("SELECT id, pid, started, boot, reason, since FROM leases ORDER BY id").fetchall()
        return [LeaseRecord(*row) for row in rows]

    def sweep(self) -> int:
        """Forget the leases of dead processes; gives how many. They do not count anyway, so a full disk is no error."""
        dead = [(lease.id,) for lease in self.list() if lease.id in self._ended or not lease.is_alive]
        if not dead:
            return 0
        try:
            with self._database.transaction(durable=False) as connection:
                connection.executemany("DELETE FROM leases WHERE id = ?", dead)
        except Unavailable:
            return 0
        self._ended.difference_update(row[0] for row in dead)
        return len(dead)


class Lease:
    """One lease, held between enter and exit of its context."""

    __slots__ = ("_database", "_ended", "_id", "_reason")

    def __init__(self, database: Database, reason: str, ended: set[int]) -> None:
        self._database = database
        self._reason = reason
        self._ended = ended
        self._id = 0

    def __enter__(self) -> Self:
        pid = os.getpid()
        row = (pid, processes.start_time(pid) or 0, boot_id(), self._reason, int(time.time()))
        with self._database.transaction(durable=False) as connection:
            cursor = connection.execute("INSERT INTO leases VALUES (NULL, ?, ?, ?, ?, ?)", row)
            self._id = cursor.lastrowid or 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with self._database.transaction(durable=False) as connection:
                connection.execute("DELETE FROM leases WHERE id = ?", (self._id,))
        except Unavailable:
            self._ended.add(self._id)  # a full disk, which is told by whoever wanted to write


def boot_id() -> str:
    """What names this boot of the machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
