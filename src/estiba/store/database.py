"""The database of a store: SQLite in WAL mode, shared by every Estiba process of this root.

Each room declares the tables that it owns with `migrate`; nobody else reads them. Rows are
plain tuples. A connection belongs to one thread of one process and is made when it is first needed.
"""

from __future__ import annotations

import os
import time
from _thread import _local as local

from estiba.errors import Conflict, Corrupt, EstibaError, PermissionDenied, Unavailable
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from types import TracebackType
else:
    from estiba.store.sqlite import sqlite3

BUSY_SECONDS = 30.0
"""How long a statement waits for another process's transaction."""

_FILES = 4  # the database, its log and the log's index, and what SQLite opens to look for them

RESERVE = 1 << 20
"""Bytes held back on the disk, so that what was begun can be undone when it is full."""

WRITE = "BEGIN IMMEDIATE"
READ = "BEGIN"


class DatabaseFromTheFuture(Conflict):
    def __init__(self, path: str, name: str, *, found: int, known: int) -> None:
        super().__init__(
            f"{path}: the tables of {name} are at version {found}, this Estiba knows {known}",
            remedy="A newer Estiba has used this store: use that one, or choose another --root.",
        )


def _make_private(path: str) -> bool:
    """Make the file where it is missing, for its owner alone: rows hold the environment of containers. True: it was."""
    try:
        # O_EXCL: closing a file that is there would release the locks that this process has on it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError:
        return False  # SQLite says the same, in its own words
    return True


class Transaction:
    """One transaction as a context manager; gives the connection, commits at the end, rolls back on an exception.

    Within another transaction of the same thread it is a part of that one. (Not one that writes within one that only
    reads: what was read may be old by then.)
    """

    __slots__ = ("_begin", "_durable", "_session")

    def __init__(self, session: _Session, begin: str, durable: bool) -> None:
        self._session = session
        self._begin = begin
        self._durable = durable

    def __enter__(self) -> sqlite3.Connection:
        session = self._session
        if session.depth == 0:
            try:
                if self._durable:
                    session.connection.execute("PRAGMA synchronous=FULL")
                session.connection.execute(self._begin)
            except sqlite3.Error as error:
                session.relax(self._durable)
                raise translated(error, session.path) from error
            session.writes = self._begin == WRITE
        elif self._begin == WRITE and not session.writes:
            raise RuntimeError("a transaction that writes cannot begin within one that reads")
        session.depth += 1
        return session.connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session = self._session
        session.depth -= 1
        try:
            if session.depth == 0:
                self._finish(failed=error is not None)
        except sqlite3.Error as failure:
            raise translated(failure, session.path) from failure
        if isinstance(error, sqlite3.Error) and not _is_the_callers(error):
            raise translated(error, session.path) from error

    def _finish(self, *, failed: bool) -> None:
        connection = self._session.connection
        try:
            if failed:
                if connection.in_transaction:  # SQLite has rolled back by itself when the disk was full
                    connection.execute("ROLLBACK")
                return
            try:
                self._commit(connection)
            except sqlite3.Error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        finally:
            self._session.relax(self._durable)

    def _commit(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            is_full = getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
            if not (is_full and connection.in_transaction and _give_reserve_back(self._session.path)):
                raise
            connection.execute("COMMIT")


class _Session:
    """The connection of one thread of one process, and how deep it stands in transactions."""

    __slots__ = ("connection", "depth", "path", "pid", "writes")

    def __init__(self, path: str) -> None:
        self.path = path
        self.pid = os.getpid()
        self.depth = 0
        self.writes = False
        self.connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        self.connection.execute("PRAGMA synchronous=NORMAL")

    def relax(self, was_durable: bool) -> None:
        if was_durable:
            self.connection.execute("PRAGMA synchronous=NORMAL")


class Database:
    """Opened once by `Store.open`; safe to use from several threads and after a fork. `is_new`: it was just made."""

    def __init__(self, path: str) -> None:
        self.is_new = False
        self._path = path
        self._local = local()
        self._sessions: list[_Session] = []
        self._versions: dict[str, int] = {}

    @classmethod
    def open(cls, path: str) -> Database:
        """Open the database at `path`, made if it is missing.

        Raises:
            PermissionDenied: this user may not. Corrupt: the file is no database. Unavailable: locked, or no space.
        """
        database = cls(path)
        database.is_new = _make_private(path)
        try:
            database._prepare()
            _keep_reserve(path)
        except sqlite3.Error as error:
            database.close()
            raise translated(error, path) from error
        return database

    def transaction(self, *, durable: bool = True) -> Transaction:
        """``with database.transaction() as connection:`` reads and writes, alone among writers (BEGIN IMMEDIATE).

        `durable` syncs the log to the disk, so that the rows outlive a power cut. False is for rows which mean
        nothing after one, such as that a container runs: the commit then survives a killed process, and costs no sync.

        Raises:
            Unavailable: another process held the database for 30 seconds, or there is no space. Corrupt: it is damaged.
            sqlite3.IntegrityError passes, for the caller to say what it means.
        """
        return Transaction(self._session(), WRITE, durable)

    def read(self) -> Transaction:
        """``with database.read() as connection:`` one consistent view; never waits for a writer."""
        return Transaction(self._session(), READ, False)

    def migrate(self, name: str, statements: tuple[str, ...]) -> None:
        """Bring the tables of `name` up to date.

        `statements` is the whole history, of which those that this file has not seen are run, in one transaction: so
        a room appends a statement and never changes one that was released.

        Raises:
            DatabaseFromTheFuture: this file has seen more statements than there are.
        """
        if self._versions.get(name, 0) == len(statements):
            return
        with self.transaction() as connection:
            row = connection.execute("SELECT version FROM migrations WHERE name = ?", (name,)).fetchone()
            done: int = row[0] if row else 0
            if done > len(statements):
                raise DatabaseFromTheFuture(self._path, name, found=done, known=len(statements))
            for statement in statements[done:]:
                connection.execute(statement)
            connection.execute("INSERT OR REPLACE INTO migrations VALUES (?, ?)", (name, len(statements)))
        self._versions[name] = len(statements)

    def problems(self) -> list[str]:
        """What SQLite's own check of the file finds, [] when it is sound."""
        with self.read() as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA quick_check")]
        return [] if found == ["ok"] else found

    def close(self) -> None:
        """Close this process's connections; another use opens new ones."""
        for session in self._sessions:
            if session.pid == os.getpid():
                session.connection.close()
        self._sessions = [session for session in self._sessions if session.pid != os.getpid()]
        self._local = local()

    def _session(self) -> _Session:
        session: _Session | None = getattr(self._local, "session", None)
        if session is None or session.pid != os.getpid():
            # After a fork the parent's connection stays in the list, never closed here: that would end its locks.
            try:
                session = _Session(self._path)
            except sqlite3.Error as error:
                raise translated(error, self._path) from error
            self._local.session = session
            self._sessions.append(session)
        return session

    def _prepare(self) -> None:
        connection = self._session().connection
        try:
            self._versions = dict(connection.execute("SELECT name, version FROM migrations"))
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            self._enter_wal(connection)
            connection.execute(
                "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID"
            )

    def _enter_wal(self, connection: sqlite3.Connection) -> None:
        """Two processes which make the same store meet here; SQLite does not wait by itself for this change."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
            else:
                return


def _keep_reserve(path: str) -> None:
    """Hold some space back beside the database, if there is enough: it is for cleaning up when the disk is full."""
    reserve = path + "-reserve"
    if os.path.exists(reserve):
        return
    try:
        descriptor = os.open(reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, RESERVE)
        finally:
            os.close(descriptor)
    except OSError:  # full, or read-only: then there is none
        _give_reserve_back(path)


def _give_reserve_back(path: str) -> bool:
    """Free the space that was held back; False when there was none."""
    try:
        os.unlink(path + "-reserve")
    except OSError:
        return False
    return True


def _is_the_callers(error: sqlite3.Error) -> bool:
    """A constraint that is for the caller to explain, or a statement that is simply wrong."""
    name = getattr(error, "sqlite_errorname", "") or ""
    return isinstance(error, sqlite3.IntegrityError) or name in ("", "SQLITE_ERROR")


def _lacks_descriptors() -> bool:
    """Whether this process may open too few files for a database. SQLite does not tell why it cannot open one."""
    try:
        return len(os.listdir("/proc/self/fd")) + _FILES > os.sysconf("SC_OPEN_MAX")
    except OSError:  # not even that one
        return True


def translated(error: sqlite3.Error, path: str) -> EstibaError:
    """SQLite's error as one of ours."""
    text = str(error)
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Unavailable(
            f"{path}: another process has kept the database busy for {BUSY_SECONDS:.0f} seconds",
            remedy="Find it with: fuser -v " + path,
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return Corrupt(f"{path}: {text}", remedy="Look at what is left with: estiba fsck")
    if name.startswith("SQLITE_CANTOPEN") and _lacks_descriptors():
        return Unavailable(
            f"{path}: this process has too many open files", remedy="Allow this user more open files: ulimit -n"
        )
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")):
        return PermissionDenied(
            f"{path}: {text}",
            remedy="Run as the user who owns the store, or choose another place with --root or ESTIBA_ROOT.",
        )
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return Unavailable(f"{path}: {text}", remedy="Look at the free space with: df -h " + os.path.dirname(path))
    return Corrupt(f"{path}: {text}")
