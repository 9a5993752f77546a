"""The record of who has what."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from estiba.errors import Corrupt, Unavailable
from estiba.networks.firewall import Published
from estiba.networks.ledger import BridgeRow, EndpointRow, Ledger, PortRow
from estiba.networks.ports import PortMapping

BRIDGE = BridgeRow("bridge", "est-1", "10.87.0.0/24", 1500, False, 0)
ENDPOINT = EndpointRow("c1", "bridge", 7, "02:00:00:00:00:01", "eth0", "ve1", "box", 1, 2)
PORT = PortRow(Published(PortMapping(80, 8080), "10.87.0.2"), "c1", "bridge")


def test_rows_are_given_back_as_they_were_written(tmp_path: Path) -> None:
    with Ledger(str(tmp_path)) as ledger, ledger.transaction():
        ledger.put_bridge(BRIDGE)
        ledger.add_endpoint(ENDPOINT)
        ledger.add_ports([PORT])
    with Ledger(str(tmp_path)) as ledger:
        assert ledger.bridge("bridge") == BRIDGE._replace(last_address=7)
        assert ledger.endpoints(key="c1") == ledger.endpoints(network="bridge") == [ENDPOINT]
        assert ledger.endpoints(key="c2") == []
        assert ledger.ports() == [PORT]


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with Ledger(str(tmp_path)) as ledger:
        with pytest.raises(ZeroDivisionError), ledger.transaction():
            ledger.put_bridge(BRIDGE)
            raise ZeroDivisionError
        assert ledger.bridges() == []


def test_the_first_value_of_a_setting_is_remembered(tmp_path: Path) -> None:
    with Ledger(str(tmp_path)) as ledger:
        ledger.note_setting("net/ipv4/conf/eth0/forwarding", "0", "1")
        ledger.note_setting("net/ipv4/conf/eth0/forwarding", "5", "1")
        assert ledger.settings() == [("net/ipv4/conf/eth0/forwarding", "0", "1")]
        ledger.forget_settings("net/ipv4/conf/eth0/")
        assert ledger.settings() == []


def test_a_record_of_an_earlier_version_is_taken_over(tmp_path: Path) -> None:
    with Ledger(str(tmp_path)) as ledger:
        ledger.put_bridge(BRIDGE)
        ledger.add_endpoint(ENDPOINT)
    with sqlite3.connect(tmp_path / "networks.db") as database:
        database.executescript("ALTER TABLE endpoints DROP COLUMN aliases; PRAGMA user_version = 1;")
    database.close()
    with Ledger(str(tmp_path)) as ledger:
        assert ledger.endpoints() == [ENDPOINT]
        ledger.rename("c1", "other")
        assert ledger.endpoints() == [ENDPOINT._replace(hostname="other")]


def test_a_record_that_others_keep_busy_is_unavailable(tmp_path: Path) -> None:
    with Ledger(str(tmp_path)) as ledger:
        ledger.put_bridge(BRIDGE)
    other = sqlite3.connect(tmp_path / "networks.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Unavailable, match="locked"):
        Ledger(str(tmp_path), patience=0)
    other.execute("COMMIT")
    with Ledger(str(tmp_path), patience=0) as ledger:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable, match="locked"):
            ledger.endpoints()
        with pytest.raises(Unavailable, match="locked"), ledger.transaction():
            pass
        other.execute("COMMIT")
        assert ledger.bridges() == [BRIDGE]
    other.close()


def test_what_cannot_be_kept_is_undone_and_the_next_change_is_kept(tmp_path: Path) -> None:
    """Somebody who reads holds a COMMIT up, which then fails; the transaction would stay open."""
    with Ledger(str(tmp_path), patience=0) as ledger:
        other = sqlite3.connect(tmp_path / "networks.db", isolation_level=None)
        other.execute("BEGIN")
        other.execute("SELECT * FROM bridges").fetchall()
        with pytest.raises(Unavailable, match="locked"), ledger.transaction():
            ledger.put_bridge(BRIDGE)
        assert ledger.bridges() == []
        other.close()
        with ledger.transaction():
            ledger.put_bridge(BRIDGE)
        assert ledger.bridges() == [BRIDGE]


def test_a_full_disk_undoes_a_change(tmp_path: Path) -> None:
    with Ledger(str(tmp_path)) as ledger:
        (pages,) = ledger.execute("PRAGMA page_count")
        ledger.execute(f"PRAGMA max_page_count = {pages[0]}")
        with pytest.raises(Unavailable, match="full"), ledger.transaction():
            for number in range(1000):
                ledger.add_endpoint(ENDPOINT._replace(key=f"c{number}", address=number))
        assert ledger.endpoints() == []


def test_a_file_that_is_no_database_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "networks.db").write_text("of no use " * 100)
    with pytest.raises(Corrupt, match="not a database"):
        Ledger(str(tmp_path))


def test_two_processes_may_take_over_the_same_earlier_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger(str(tmp_path)) as ledger:
        ledger.put_bridge(BRIDGE)
    with sqlite3.connect(tmp_path / "networks.db") as database:
        database.executescript("ALTER TABLE endpoints DROP COLUMN aliases; PRAGMA user_version = 1;")
    database.close()
    is_late = []

    class Late(sqlite3.Connection):
        """Between the look at the version and the change of it the other one has come."""

        def execute(self, statement: str, *values: Any) -> Any:
            if statement.startswith("BEGIN") and not is_late:
                is_late.append(True)
                Ledger(str(tmp_path)).__exit__()
            return super().execute(statement, *values)

        executescript = None  # type: ignore[assignment]

    connect = sqlite3.connect
    monkeypatch.setattr("estiba.networks.ledger.sqlite3.connect", lambda *a, **k: connect(*a, **k, factory=Late))
    with Ledger(str(tmp_path)) as ledger:
        assert is_late and ledger.endpoints() == [] and ledger.bridges() == [BRIDGE]


def test_a_later_version_may_add_columns_while_this_one_runs(tmp_path: Path) -> None:
    with Ledger(str(tmp_path)) as ledger:
        ledger.execute("ALTER TABLE endpoints ADD COLUMN more TEXT NOT NULL DEFAULT 'x'")
        ledger.execute("PRAGMA user_version = 9")
        ledger.add_endpoint(ENDPOINT)
        assert ledger.endpoints() == [ENDPOINT]
