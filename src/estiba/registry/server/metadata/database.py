"""The connection to the catalogue's database: one thread that writes, and reads that need no thread.

Writes: a queue, taken by one thread which carries out what has gathered in one transaction (each in a savepoint of
its own) and answers when it is committed. So sixteen pushes at once cost a few commits, not sixteen, and nothing waits
for a lock. Other processes (gc from the command line) are kept apart by BEGIN IMMEDIATE.

Reads: SQLite in WAL mode reads while others write; a small indexed read takes some 20 µs, less than a change of
thread, so it is made where it is asked for. The statements are SQLAlchemy's, compiled once.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite as sqlite_dialect

from estiba.errors import Unavailable

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

T = TypeVar("T")
Operation = Callable[[sa.Connection], T]
Value = str | int | bytes | None
_BUSY_SECONDS = 30
_LARGEST_BATCH = 64
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a row is durable before the client hears of it
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -16000",
)


class DatabaseFailed(Unavailable):
    """The database could not carry an operation out: the disk is full, the file is damaged or locked for too long."""

    def __init__(self, path: str, error: BaseException) -> None:
        reason = getattr(error, "orig", None) or error
        super().__init__(
            f"the registry's catalogue {path} cannot be used: {reason}",
            remedy="Check the space on its disk, and that no other program holds it.",
        )


class Query:
    """A SELECT, compiled once to the text that SQLite's own module takes."""

    __slots__ = ("_constants", "_text", "parameters")

    def __init__(self, statement: sa.Select[tuple[object, ...]] | sa.Select[tuple[object]]) -> None:
        compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        self._text = str(compiled)
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}
        self.parameters = tuple(name for name in compiled.params if name not in self._constants)

    def explained(self) -> Query:
        """The question how the database answers this one."""
        query = Query.__new__(Query)
        query._text, query._constants, query.parameters = f"EXPLAIN QUERY PLAN {self._text}", self._constants, ()
        return query

    def all(self, connection: sqlite3.Connection, values: Mapping[str, Value]) -> list[tuple[Value, ...]]:
        return connection.execute(self._text, {**self._constants, **values}).fetchall()

    def one(self, connection: sqlite3.Connection, values: Mapping[str, Value]) -> tuple[Value, ...] | None:
        return cast(
            "tuple[Value, ...] | None", connection.execute(self._text, {**self._constants, **values}).fetchone()
        )


_DIALECT = sqlite_dialect.dialect(paramstyle="named")


class Database:
    """A catalogue's database file, with its tables up to date. Close it when done."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._engine = sa.create_engine(
            f"sqlite:///{path}",
            connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
            poolclass=sa.pool.NullPool,
        )
        sa.event.listen(self._engine, "connect", _on_connect)
        sa.event.listen(self._engine, "begin", _on_begin)
        self._queue: queue.SimpleQueue[tuple[Operation[object], Future[object]] | None] = queue.SimpleQueue()
        try:
            with self._engine.begin() as connection:
                _upgrade(connection)
            self._reader = _reader(path)
        except (sa.exc.DatabaseError, sqlite3.Error) as error:
            raise DatabaseFailed(path, error) from error
        self._writer = threading.Thread(target=self._write_loop, name="catalogue", daemon=True)
        self._writer.start()

    def close(self) -> None:
        """Carry out what is queued, then let go of the file."""
        self._queue.put(None)
        self._writer.join()
        self._reader.close()
        self._engine.dispose()

    def read_all(self, query: Query, **values: Value) -> list[tuple[Value, ...]]:
        """Every row. From one thread only: the event loop's, or the only one."""
        try:
            return query.all(self._reader, values)
        except sqlite3.OperationalError as error:
            raise DatabaseFailed(self.path, error) from error

    def read_one(self, query: Query, **values: Value) -> tuple[Value, ...] | None:
        try:
            return query.one(self._reader, values)
        except sqlite3.OperationalError as error:
            raise DatabaseFailed(self.path, error) from error

    async def write(self, operation: Operation[T]) -> T:
        """Carry out `operation` in a transaction; returns when it is durable. What it raises undoes it alone."""
        return await asyncio.shield(asyncio.wrap_future(self._submit(operation)))

    def write_now(self, operation: Operation[T]) -> T:
        """`write` for callers without an event loop."""
        return self._submit(operation).result()

    def view(self, operation: Operation[T]) -> T:
        """Carry out an `operation` that only reads, on one state of the database; it may take long and blocks nobody.

        From any thread.
        """
        try:
            with self._engine.connect().execution_options(only_reads=True) as connection:
                return operation(connection)
        except sa.exc.OperationalError as error:
            raise DatabaseFailed(self.path, error) from error

    def _submit(self, operation: Operation[T]) -> Future[T]:
        future: Future[T] = Future()
        self._queue.put((operation, cast("Future[object]", future)))
        return future

    def _write_loop(self) -> None:
        with self._engine.connect() as connection:
            while (first := self._queue.get()) is not None:
                batch = [first]
                ended = False
                while len(batch) < _LARGEST_BATCH and not self._queue.empty():
                    following = self._queue.get()
                    if following is None:
                        ended = True
                        break
                    batch.append(following)
                self._write_batch(connection, batch)
                if ended:
                    return

    def _write_batch(
        self, connection: sa.Connection, batch: Sequence[tuple[Operation[object], Future[object]]]
    ) -> None:
        """One transaction for all; whoever fails is told why, the others are not touched by it."""
        done: list[tuple[Future[object], object]] = []
        try:
            with connection.begin():
                for operation, future in batch:
                    try:
                        with connection.begin_nested():
                            done.append((future, operation(connection)))
                    except sa.exc.OperationalError:
                        raise
                    except Exception as error:  # noqa: BLE001 - it is handed to the one who waits for it
                        future.set_exception(error)
        except sa.exc.DatabaseError as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(DatabaseFailed(self.path, error))
            return
        for future, value in done:
            future.set_result(value)


def _reader(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    for pragma in (*_PRAGMAS, "PRAGMA query_only = ON"):
        connection.execute(pragma)
    return connection


def _on_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    raw = cast("sqlite3.Connection", connection)
    raw.isolation_level = None  # transactions begin where `_on_begin` says, not where sqlite3 thinks so
    for pragma in _PRAGMAS:
        raw.execute(pragma)


def _on_begin(connection: sa.Connection) -> None:
    only_reads = connection.get_execution_options().get("only_reads")
    connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")


def _upgrade(connection: sa.Connection) -> None:
    from estiba.registry.server.metadata.upgrade import upgrade

    upgrade(connection)
