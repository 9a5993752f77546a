"""The durable queue: deliveries and jobs in SQLite, recorded before the sender gets its answer.

::

    queued ──claim──▶ running ──▶ succeeded | failed ──retry──▶ queued
      │                  │
      │                  └──its agent stopped or died──▶ queued
      └──a newer head of the branch──▶ superseded

One head of a branch is one job, however often its delivery comes; a job that is running stays what it is, whatever
comes. `started` (0: it has changed nothing) tells which head of a branch was begun last: a branch may go back to an
older one, which is built again then. Which head is the right one is never a matter of the order in which deliveries
come: the worker asks the repository.
"""

from __future__ import annotations

import os
import sqlite3
import time
from typing import NamedTuple

from estiba.agent.pipeline import Job
from estiba.errors import Conflict, NotFound
from estiba.store.database import Database

QUEUED = "queued"
RUNNING = "running"
SUCCEEDED = "succeeded"
FAILED = "failed"
SUPERSEDED = "superseded"

ATTEMPTS = 3
"""How often a job is begun before it counts as failed."""
REMEMBERED = 30 * 24 * 3600.0
"""How many seconds a delivery is known again."""

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


class NoSuchBuild(NotFound):
    def __init__(self, number: int) -> None:
        super().__init__(f"there is no build {number}", remedy="See those that there are with: estiba agent ls")


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
        is built again. When this returns, it outlives a power cut.
        """
        now = time.time()
        with self._database.transaction() as connection:
            seen = connection.execute("SELECT job FROM deliveries WHERE id = ?", (delivery,)).fetchone()
            if seen:
                return Accepted(int(seen[0]), False)
            accepted = self._enter(connection, job, now)
            connection.execute("INSERT INTO deliveries VALUES (?, ?, ?)", (delivery, accepted.job, now))
        return accepted

    def enter(self, job: Job) -> Accepted:
        """Record a job that no delivery told of: a head that was found by looking."""
        with self._database.transaction() as connection:
            return self._enter(connection, job, time.time())

    @staticmethod
    def _enter(connection: sqlite3.Connection, job: Job, now: float) -> Accepted:
        branch = (job.repository, job.branch)
        connection.execute(
            "UPDATE jobs SET state = ?, finished = ?, error = ?"
            " WHERE repository = ? AND branch = ? AND state = ? AND head != ?",
            (SUPERSEDED, now, f"{job.commit} came after it", *branch, QUEUED, job.commit),
        )
        known = connection.execute(
            "SELECT id, state FROM jobs WHERE repository = ? AND branch = ? AND head = ?", (*branch, job.commit)
        ).fetchone()
        if known is None:
            row = connection.execute(
                "INSERT INTO jobs (repository, branch, head, message, state, created, entered)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
                (*branch, job.commit, job.message, QUEUED, now, now),
            ).fetchone()
            return Accepted(int(row[0]), True)
        number, state = int(known[0]), str(known[1])
        last = connection.execute(
            "SELECT id FROM jobs WHERE repository = ? AND branch = ? AND started > 0 ORDER BY started DESC LIMIT 1",
            branch,
        ).fetchone()
        is_last = last is not None and last[0] == number
        if state in (QUEUED, RUNNING) or (is_last and state in (SUCCEEDED, FAILED)):
            return Accepted(number, False)
        _queue_again(connection, number, now)
        return Accepted(number, True)

    def claim(self) -> JobRecord | None:
        """The job that has waited longest, now ours; a branch is built by one at a time. None if there is none."""
        with self._database.read() as connection:  # most looks find nothing, and keep nobody from writing
            if connection.execute("SELECT 1 FROM jobs WHERE state = ? LIMIT 1", (QUEUED,)).fetchone() is None:
                return None
        with self._database.transaction() as connection:
            row = connection.execute(
                f"""UPDATE jobs SET state = ?, owner = ?, attempts = attempts + 1, started = ? WHERE id = (
                    SELECT id FROM jobs AS waiting WHERE state = ? AND NOT EXISTS (
                        SELECT 1 FROM jobs WHERE state = ? AND repository = waiting.repository
                        AND branch = waiting.branch) ORDER BY entered, id LIMIT 1) RETURNING {_COLUMNS}""",
                (RUNNING, self._owner, time.time(), QUEUED, RUNNING),
            ).fetchone()
        return JobRecord(*row) if row else None

    def succeed(self, number: int, image: str) -> None:
        """A job is done: its image's ID."""
        self._end(number, SUCCEEDED, image=image)

    def fail(self, number: int, error: str) -> None:
        """A job has failed."""
        self._end(number, FAILED, error=error)

    def move_on(self, number: int, head: Job) -> Accepted:
        """The branch of a job has moved on, so that one is not wanted any more, and its `head` is."""
        with self._database.transaction() as connection:
            self._end(number, SUPERSEDED, error=f"the branch has moved on to {head.commit}")
            connection.execute("UPDATE jobs SET started = 0 WHERE id = ? AND state = ?", (number, SUPERSEDED))
            return self._enter(connection, head, time.time())

    def _end(self, number: int, state: str, *, image: str = "", error: str = "") -> None:
        """Our running job ends; one that is not ours any more is left alone."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE jobs SET state = ?, finished = ?, image = ?, error = ?, owner = ''"
                " WHERE id = ? AND state = ? AND owner = ?",
                (state, time.time(), image, error, number, RUNNING, self._owner),
            )

    def give_back(self, number: int) -> None:
        """A job that this agent cannot finish, because it stops, waits again; this was no attempt."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE jobs SET state = ?, owner = '', attempts = attempts - 1, started = 0"
                " WHERE id = ? AND state = ? AND owner = ?",
                (QUEUED, number, RUNNING, self._owner),
            )

    def retry(self, number: int) -> None:
        """Build a job again that has ended.

        Raises:
            NotFound: there is no such job. Conflict: it has not ended.
        """
        with self._database.transaction() as connection:
            row = connection.execute("SELECT state FROM jobs WHERE id = ?", (number,)).fetchone()
            if row is None:
                raise NoSuchBuild(number)
            if row[0] in (QUEUED, RUNNING):
                raise Conflict(f"build {number} is {row[0]} already")
            _queue_again(connection, number, time.time())

    def recover(self) -> tuple[int, ...]:
        """Take up again what an agent that is gone was running. Call it with no other agent on this queue.

        A job that has ended its agent three times has failed. Deliveries of more than 30 days ago are forgotten: no
        forge sends those again.
        """
        now = time.time()
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM deliveries WHERE received < ?", (now - REMEMBERED,))
            connection.execute(
                "UPDATE jobs SET state = ?, finished = ?, error = ?, owner = ''"
                " WHERE state = ? AND owner != ? AND attempts >= ?",
                (FAILED, now, f"the agent died while it was built, {ATTEMPTS} times", RUNNING, self._owner, ATTEMPTS),
            )
            rows = connection.execute(
                "UPDATE jobs SET state = ?, owner = '' WHERE state = ? AND owner != ? RETURNING id",
                (QUEUED, RUNNING, self._owner),
            ).fetchall()
        return tuple(sorted(row[0] for row in rows))

    def get(self, number: int) -> JobRecord:
        """The job of this number.

        Raises:
            NotFound.
        """
        with self._database.read() as connection:
            row = connection.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise NoSuchBuild(number)
        return JobRecord(*row)

    def latest(self, count: int = 50) -> tuple[JobRecord, ...]:
        """The newest jobs, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY id DESC LIMIT ?", (count,)).fetchall()
        return tuple(JobRecord(*row) for row in rows)


def _queue_again(connection: sqlite3.Connection, number: int, now: float) -> None:
    connection.execute(
        "UPDATE jobs SET state = ?, entered = ?, attempts = 0, started = 0, finished = 0, image = '', error = ''"
        " WHERE id = ?",
        (QUEUED, now, number),
    )


def new_owner() -> str:
    """A name for this process that no other has had or will have."""
    return f"{os.getpid()}-{os.urandom(8).hex()}"
