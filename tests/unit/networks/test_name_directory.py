"""Which names a container knows others by, and what it costs to ask."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from estiba.errors import Unavailable
from estiba.networks.ledger import FILE, BridgeRow, EndpointRow, Ledger
from estiba.networks.names import directory as module
from estiba.networks.names.directory import Directory


def row(key: str, address: int, hostname: str, aliases: str = "") -> EndpointRow:
    return EndpointRow(key, "inner", address, "02:00:00:00:00:01", "eth0", "lo", hostname, 1, 2, aliases)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    with Ledger(str(tmp_path)) as ledger, ledger.transaction():
        ledger.put_bridge(BridgeRow("inner", "est-1", "10.87.0.0/24", 1500, False, 0))
        ledger.add_endpoint(row("1" * 64, 1, "web"))
    monkeypatch.setattr(module, "_FRESH", 0.0)
    return str(tmp_path)


def let_it_settle(run: str) -> None:
    """As if the last change were long ago."""
    os.utime(f"{run}/{FILE}", (1, 1))


def test_names_that_nobody_has_do_not_make_the_ledger_be_read(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    let_it_settle(run)
    names = Directory(run=run, key="1" * 64)
    assert names.find("web") == ("0.0.0.1",)
    monkeypatch.setattr(Directory, "_read", lambda _self: pytest.fail("it was read"))
    for number in range(100):
        assert names.find(f"nobody{number}") == ()
        assert names.name_of(f"10.0.0.{number}") == ""


def test_who_has_just_come_is_known(run: str) -> None:
    """Also where two changes have the same time in the file system."""
    names = Directory(run=run, key="1" * 64)
    for number in range(2, 6):
        with Ledger(run) as ledger:
            ledger.add_endpoint(row(str(number) * 64, number, f"c{number}"))
        assert names.find(f"c{number}") == (f"0.0.0.{number}",)


def test_what_was_known_holds_while_others_keep_the_ledger_busy(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.0)
    names, late = (Directory(run=run, key="1" * 64) for _ in range(2))
    assert names.find("web") == ("0.0.0.1",)
    with Ledger(run) as ledger:
        ledger.execute("BEGIN EXCLUSIVE")
        assert names.find("web") == ("0.0.0.1",)
        with pytest.raises(Unavailable):
            late.find("web")
        ledger.execute("COMMIT")


def test_a_name_that_is_too_long_for_an_answer_has_the_id_instead(run: str) -> None:
    with Ledger(run) as ledger:
        ledger.add_endpoint(row("2" * 64, 2, "a" * 64))
        ledger.add_endpoint(row("3" * 64, 3, "a..b"))
    names = Directory(run=run, key="1" * 64)
    assert names.name_of("0.0.0.1") == "web.inner"
    assert names.name_of("0.0.0.2") == "222222222222.inner"
    assert names.name_of("0.0.0.3") == "333333333333.inner"


def test_a_name_in_other_letters_is_found_as_it_is_and_as_it_is_written_in_ascii(run: str) -> None:
    with Ledger(run) as ledger:
        ledger.add_endpoint(row("2" * 64, 2, "db", "Café"))
    names = Directory(run=run, key="1" * 64)
    for name in ("café", "xn--caf-dma", "café.inner", "xn--caf-dma.inner"):
        assert names.find(name) == ("0.0.0.2",)
