"""A prune removes what may go still, and tells why the rest stays; volumes go to the trash for the usual time."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from estiba.engine import prune
from estiba.engine.engine import Engine
from estiba.engine.volumes import Volume
from estiba.errors import InvalidInput
from estiba.wiring.house import House
from estiba.wiring.settings import read


@pytest.fixture
def house(tmp_path) -> Iterator[House]:
    with House(read({}, root=str(tmp_path / "root"), run=str(tmp_path / "run"))) as house:
        yield house


def filled(engine: Engine, name: str) -> Volume:
    volume = engine.volumes.ensure(name)
    with open(f"{volume.mountpoint}/file", "w") as file:
        file.write("text")
    return volume


def test_a_volume_that_has_gone_or_has_been_made_anew_holds_nothing_up(house: House) -> None:
    engine = house.engine
    volumes = [filled(engine, name) for name in ("first", "gone", "last", "new")]
    made = max(volume.created for volume in volumes)
    engine.volumes.remove("gone", keep=0)
    engine.volumes.remove("new", keep=0)
    filled(engine, "new")
    done = prune.remove(engine, prune.of_volumes(volumes), made=made)
    assert [one.target for one in done.removed.removals] == ["first", "last"]
    assert done.refused == ("no such volume: gone", "no such volume: new")
    assert [volume.name for volume in engine.volumes.all()] == ["new"]


def test_bytes_are_free_where_nothing_is_kept(house: House) -> None:
    removals = prune.of_volumes([filled(house.engine, "one")])
    kept = prune.remove(house.engine, removals)
    assert (kept.trashed, kept.removed.size) == (("one",), 0)
    removals = prune.of_volumes([filled(house.engine, "one")])
    gone = prune.remove(house.engine, removals, keep=0)
    assert gone.trashed == () and gone.removed.size == removals[0].size > 0


@pytest.mark.parametrize(("told", "seconds"), [("", 7 * 86400), ("12h", 12 * 3600), ("1d12h", 36 * 3600), ("0", 0)])
def test_the_usual_time_is_that_of_the_environment(tmp_path, told: str, seconds: float) -> None:
    environment = {"ESTIBA_VOLUME_TRASH": told}
    with House(read(environment, root=str(tmp_path / "root"), run=str(tmp_path / "run"))) as house:
        filled(house.engine, "one")
        house.engine.volumes.remove("one")
        assert [one.expires - one.removed for one in house.engine.volumes.trash.all()] == [seconds] * bool(seconds)
        assert not os.path.exists(f"{house.settings.root}/volumes/one")


@pytest.mark.parametrize("told", ["soon", "-1d", "nand", "infd", "d", "1dx"])
def test_a_time_that_is_none_is_refused_by_its_name(told: str) -> None:
    with pytest.raises(InvalidInput, match="ESTIBA_VOLUME_TRASH: invalid time"):
        read({"ESTIBA_VOLUME_TRASH": told})
