"""rpm's databases are read without rpm, and damaged ones give nothing."""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estiba.image.rpm import RpmPackage, of_ndb, of_sqlite, parse_header


def header(name: str, version: str, release: str, epoch: int | None = None) -> bytes:
    """A header with one more tag than is read."""
    entries, store = b"", b"\0\0\0\0" if epoch is None else struct.pack(">I", epoch)
    if epoch is not None:
        entries += struct.pack(">IIiI", 1003, 4, 0, 1)
    for tag, text in ((1000, name), (1001, version), (1002, release), (1014, "a licence")):
        entries += struct.pack(">IIiI", tag, 6, len(store), 1)
        store += text.encode() + b"\0"
    return struct.pack(">II", len(entries) // 16, len(store)) + entries + store


BASH = header("bash", "5.2", "3.fc40")
BIND = header("bind", "9.18", "1", epoch=32)
KEY = header("gpg-pubkey", "a", "b")
FOUND = [RpmPackage("bash", "5.2-3.fc40"), RpmPackage("bind", "32:9.18-1")]


def test_sqlites_database(tmp_path):
    path = str(tmp_path / "rpmdb.sqlite")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
        connection.executemany("INSERT INTO Packages (blob) VALUES (?)", [(BASH,), (BIND,), (KEY,), (b"rubbish",)])
    connection.close()
    Path(path).chmod(0o444)
    assert list(of_sqlite(path)) == FOUND


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE VIEW Packages AS WITH RECURSIVE n(blob) AS (SELECT 1 UNION ALL SELECT blob + 1 FROM n) SELECT * FROM n",
        "CREATE TABLE Other (blob)",
        "CREATE TABLE Packages (other)",
    ],
)
def test_another_schema_gives_nothing(tmp_path, schema):
    path = str(tmp_path / "rpmdb.sqlite")
    with sqlite3.connect(path) as connection:
        connection.execute(schema)
    connection.close()
    assert list(of_sqlite(path)) == []


def test_what_is_no_database_gives_nothing(tmp_path):
    path = tmp_path / "rpmdb.sqlite"
    for data in (b"", b"SQLite format 3\0" + b"\xff" * 5000, b"x" * 10_000):
        path.write_bytes(data)
        assert list(of_sqlite(str(path))) == []


def ndb(*headers: bytes) -> bytes:
    slots = struct.pack("<4sIII", b"RpmP", 0, 1, 1) + struct.pack("<IIII", len(headers) + 1, 0, 0, 0)
    blocks, block = b"", 4096 // 16
    for number, one in enumerate(headers, start=1):
        blob = struct.pack("<4sIII", b"BlbS", number, 1, len(one)) + one
        blob += bytes(-len(blob) % 16)
        slots += struct.pack("<4sIII", b"Slot", number, block, len(blob) // 16)
        blocks += blob
        block += len(blob) // 16
    slots += struct.pack("<4sIII", b"Slot", 0, 0, 0) * ((4096 - len(slots)) // 16)
    return slots + blocks


def test_rpms_own_database():
    assert list(of_ndb(ndb(BASH, BIND, KEY))) == FOUND
    assert list(of_ndb(ndb())) == []


@given(st.binary(max_size=300))
def test_no_bytes_are_more_than_no_header(data):
    parse_header(data)
    parse_header(BASH[:8] + data)
    assert list(of_ndb(data)) == []


@given(st.integers(0, 5000), st.binary(min_size=1, max_size=8))
def test_a_damaged_database_gives_what_can_be_read(place, data):
    whole = bytearray(ndb(BASH, BIND))
    whole[place : place + len(data)] = data
    list(of_ndb(bytes(whole)))  # raises nothing
