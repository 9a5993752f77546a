"""The record of who has what."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

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
