"""The durable queue: deliveries and jobs in SQLite, recorded before the sender gets its answer.

::

    queued ──claim──▶ running ──finish──▶ succeeded | failed
      │                  │
      │                  └──its agent died──▶ queued
      └──a newer head of the branch──▶ superseded

One head of a branch is one job, however often its delivery comes.
`entered` orders the heads of a branch, since a branch may go back to an older one.
"""

from __future__ import annotations

import os
import sqlite3
import time
from typing import NamedTuple

from estiba.agent.pipeline import Job
from estiba.errors import NotFound
from estiba.store.database import Database

QUEUED = "queued"
RUNNING = "running"
SUCCEEDED = "succeeded"
FAILED = "failed"
SUPERSEDED = "superseded"

ATTEMPTS = 3
"""How often a job is begun before it counts as failed."""

_SCHEMA = (
    """CREATE TABLE jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        repository TEXT NOT NULL, branch TEXT NOT NULL, head TEXT NOT NULL, message TEXT NOT NULL,
        state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, owner TEXT NOT NULL DEFAULT '',
        created REAL NOT NULL, entered REAL NOT NULL, started REAL NOT NULL DEFAULT 0, finished REAL NOT NULL DEFAULT 0,
        image TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '',
        UNIQUE (repository, branch, head)
    )""",
    "CREATE INDEX jobs_by_state ON jobs (state, id)",
    """CREATE TABLE deliveries (
        id TEXT PRIMARY KEY, job INTEGER NOT NULL REFERENCES jobs (id), received REAL NOT NULL
    ) WITHOUT ROWID""",
)
_COLUMNS = "id, repository, branch, head, message, state, attempts, created, started, finished, image, error"


class JobRecord(NamedTuple):
    """A job and what has become of it. Times are Unix seconds, 0 for not yet; `image` is the built image's ID."""

    id: int
    repository: str
    branch: str
    commit: str
    message: str
    state: str
    attempts: int
    created: float
    started: float
    finished: float
    image: str
    error: str

    @property
    def job(self) -> Job:
        return Job(self.repository, self.branch, self.commit, self.message)


class Accepted(NamedTuple):
    """The job of a delivery; `is_new` is False where the head was known already."""

    job: int
    is_new: bool


class Queue:
    """Safe to use from several threads and processes. `owner` names this agent's process."""

    def __init__(self, database: Database, *, owner: str) -> None:
        database.migrate("agent_queue", _SCHEMA)
        self._database = database
        self._owner = owner

    def accept(self, delivery: str, job: Job) -> Accepted:
        """Record a delivery and its job; older heads of the branch that still wait are superseded.

        A delivery that comes again changes nothing. A head that was built before and that the branch has gone back to
        is built again; whether it really is the head is for the worker to ask. When this returns, it outlives a power
        cut.
        """
        now = time.time()
        with self._database.transaction() as connection:
            seen = connection.execute("SELECT job FROM deliveries WHERE id = ?", (delivery,)).fetchone()
            if seen:
                return Accepted(int(seen[0]), False)
            number, is_new = self._enter(connection, job, now)
            connection.execute("INSERT INTO deliveries VALUES (?, ?, ?)", (delivery, number, now))
        return Accepted(number, is_new)

    def enter(self, job: Job) -> Accepted:
        """Record a job that no delivery told of: a head that was found by looking."""
        with self._database.transaction() as connection:
            return Accepted(*self._enter(connection, job, time.time()))

    @staticmethod
    def _enter(connection: sqlite3.Connection, job: Job, now: float) -> tuple[int, bool]:
        branch = (job.repository, job.branch)
        newest = connection.execute(
            "SELECT id, head FROM jobs WHERE repository = ? AND branch = ? AND state != ? ORDER BY entered DESC LIMIT 1",
            (*branch, SUPERSEDED),
        ).fetchone()
        if newest and newest[1] == job.commit:
            return int(newest[0]), False
        connection.execute(
            "UPDATE jobs SET state = ?, finished = ? WHERE repository = ? AND branch = ? AND state = ?",
            (SUPERSEDED, now, *branch, QUEUED),
        )
        row = connection.execute(
            """INSERT INTO jobs (repository, branch, head, message, state, created, entered)
            VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (repository, branch, head) DO UPDATE
            SET state = excluded.state, entered = excluded.entered, attempts = 0, error = '' WHERE state != ?
            RETURNING id""",
            (*branch, job.commit, job.message, QUEUED, now, now, RUNNING),
        ).fetchone()
        if row is None:  # it is being built at this moment
            row = connection.execute(
                "SELECT id FROM jobs WHERE repository = ? AND branch = ? AND head = ?", (*branch, job.commit)
            ).fetchone()
            return int(row[0]), False
        return int(row[0]), True

    def claim(self) -> JobRecord | None:
        """The oldest job that waits, now ours; a branch is built by one at a time. None if there is none."""
        with self._database.transaction() as connection:
            row = connection.execute(
                f"""SELECT {_COLUMNS} FROM jobs AS waiting WHERE state = ? AND NOT EXISTS (
                    SELECT 1 FROM jobs WHERE state = ? AND repository = waiting.repository
                    AND branch = waiting.branch) ORDER BY id LIMIT 1""",
                (QUEUED, RUNNING),
            ).fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE jobs SET state = ?, owner = ?, attempts = attempts + 1, started = ? WHERE id = ?",
                (RUNNING, self._owner, time.time(), row[0]),
            )
        return JobRecord(*row)._replace(state=RUNNING)

    def finish(self, number: int, *, image: str = "", error: str = "") -> None:
        """Record how a job ended: with an image, or with an error."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE jobs SET state = ?, finished = ?, image = ?, error = ?, owner = '' WHERE id = ?",
                (FAILED if error else SUCCEEDED, time.time(), image, error, number),
            )

    def supersede(self, number: int, reason: str) -> None:
        """The branch has moved on, so this job is not wanted any more."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE jobs SET state = ?, finished = ?, error = ?, owner = '' WHERE id = ?",
                (SUPERSEDED, time.time(), reason, number),
            )

    def give_back(self, number: int) -> None:
        """A job that this agent cannot finish, because it stops, waits again."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE jobs SET state = ?, owner = '' WHERE id = ? AND state = ?", (QUEUED, number, RUNNING)
            )

    def recover(self) -> tuple[int, ...]:
        """Take up again what an agent that is gone was running. Call it with no other agent on this queue.

        A job that has ended its agent three times has failed.
        """
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE jobs SET state = ?, finished = ?, error = ?, owner = '' WHERE state = ? AND owner != ?"
                " AND attempts >= ?",
                (FAILED, time.time(), "the agent died while it was built, three times", RUNNING, self._owner, ATTEMPTS),
            )
            rows = connection.execute(
                "SELECT id FROM jobs WHERE state = ? AND owner != ?", (RUNNING, self._owner)
            ).fetchall()
            connection.execute(
                "UPDATE jobs SET state = ?, owner = '' WHERE state = ? AND owner != ?", (QUEUED, RUNNING, self._owner)
            )
        return tuple(row[0] for row in rows)

    def get(self, number: int) -> JobRecord:
        """The job of this number.

        Raises:
            NotFound.
        """
        with self._database.read() as connection:
            row = connection.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise NotFound(f"there is no build {number}")
        return JobRecord(*row)

    def latest(self, count: int = 50) -> tuple[JobRecord, ...]:
        """The newest jobs, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY id DESC LIMIT ?", (count,)).fetchall()
        return tuple(JobRecord(*row) for row in rows)


def process_owner() -> str:
    """A name for this process that no other has had."""
    from estiba.linux.processes import start_time

    return f"{os.getpid()}-{start_time(os.getpid())}"
