"""One database, many rooms, many processes."""

from __future__ import annotations

import os
import resource
import sqlite3
import threading

import pytest

from estiba.errors import Corrupt, PermissionDenied, Unavailable
from estiba.store.database import Database, DatabaseFromTheFuture

ONE = ("CREATE TABLE things (name TEXT PRIMARY KEY)",)


@pytest.fixture
def database(tmp_path):
    opened = Database.open(str(tmp_path / "state.db"))
    opened.migrate("things", ONE)
    yield opened
    opened.close()


def _names(database) -> list[str]:
    with database.read() as connection:
        return [row[0] for row in connection.execute("SELECT name FROM things ORDER BY name")]


def test_what_a_transaction_wrote_is_there_afterwards(database):
    with database.transaction() as connection:
        connection.execute("INSERT INTO things VALUES ('a')")
    assert _names(database) == ["a"]


def test_an_exception_undoes_the_transaction(database):
    with pytest.raises(RuntimeError), database.transaction() as connection:
        connection.execute("INSERT INTO things VALUES ('a')")
        raise RuntimeError
    assert _names(database) == []


def test_a_transaction_within_another_is_a_part_of_it(database):
    with pytest.raises(RuntimeError), database.transaction():
        with database.transaction() as connection:
            connection.execute("INSERT INTO things VALUES ('inner')")
        raise RuntimeError
    assert _names(database) == []


def test_writing_within_a_read_is_a_mistake(database):
    with database.read(), pytest.raises(RuntimeError, match="cannot begin"), database.transaction():
        pass


def test_a_broken_constraint_is_for_the_caller_to_explain(database):
    with pytest.raises(sqlite3.IntegrityError), database.transaction() as connection:
        connection.execute("INSERT INTO things VALUES ('a')")
        connection.execute("INSERT INTO things VALUES ('a')")
    assert _names(database) == []


def test_migrations_run_once_and_only_the_new_ones(database, tmp_path):
    further = (*ONE, "ALTER TABLE things ADD COLUMN weight INTEGER NOT NULL DEFAULT 7")
    with database.transaction() as connection:
        connection.execute("INSERT INTO things VALUES ('a')")
    database.migrate("things", further)
    database.migrate("things", further)
    with database.read() as connection:
        assert connection.execute("SELECT * FROM things").fetchall() == [("a", 7)]


def test_a_store_of_a_newer_version_is_refused(database):
    with pytest.raises(DatabaseFromTheFuture, match="version 1, this Estiba knows 0"):
        database.migrate("things", ())


def test_a_failing_migration_changes_nothing(database):
    with pytest.raises(sqlite3.OperationalError):
        database.migrate("others", ("CREATE TABLE others (x)", "NO SQL"))
    database.migrate("others", ("CREATE TABLE others (x)",))


def test_threads_each_have_a_connection(database):
    def insert(name: str) -> None:
        with database.transaction() as connection:
            connection.execute("INSERT INTO things VALUES (?)", (name,))

    threads = [threading.Thread(target=insert, args=(f"t{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _names(database) == [f"t{i}" for i in range(8)]


def test_a_forked_child_uses_its_own_connection(database):
    with database.transaction() as connection:
        connection.execute("INSERT INTO things VALUES ('parent')")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with database.transaction() as connection:
                connection.execute("INSERT INTO things VALUES ('child')")
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert _names(database) == ["child", "parent"]


def test_a_file_that_is_no_database_is_called_corrupt(tmp_path):
    (tmp_path / "state.db").write_bytes(b"something else" * 100)
    with pytest.raises(Corrupt, match="not a database"):
        Database.open(str(tmp_path / "state.db"))


def test_a_directory_that_is_not_ours_is_a_clear_refusal(tmp_path):
    with pytest.raises(PermissionDenied, match="unable to open"):
        Database.open(str(tmp_path / "missing" / "state.db"))


@pytest.mark.parametrize("more", range(4))
def test_a_process_with_too_many_open_files_is_told_so(database, more):
    """SQLite says that it cannot open the file, and no more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    told: list[object] = []

    def read() -> None:
        try:
            told.append(_names(database))
        except Unavailable as error:
            told.append(error.message)

    directory = os.open("/proc/self/fd", os.O_RDONLY)
    used = {int(name) for name in os.listdir(directory)} - {directory}
    os.close(directory)
    free = [number for number in range(len(used) + more + 2) if number not in used]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[more], before[1]))
    try:
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert told == [[]] or "too many open files" in str(told[0])
    assert more > 0 or told != [[]], "the control: without any file it fails"


def test_a_sound_file_has_no_problems(database):
    assert database.problems() == []
