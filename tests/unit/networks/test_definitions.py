"""What users define outlives them, as one file per network."""

from __future__ import annotations

from pathlib import Path

import pytest

from estiba.errors import Corrupt
from estiba.networks.definitions import Definition, Definitions, NetworkExists, NetworkNotFound

BLUE = Definition("blue", "10.87.4.0/24", True, {"team": "a"}, 1700000000)


def test_a_definition_is_kept_as_it_was_given(tmp_path: Path) -> None:
    Definitions(str(tmp_path / "networks")).add(BLUE)
    again = Definitions(str(tmp_path / "networks"))
    assert again.get("blue") == BLUE
    assert again.all() == [BLUE]


def test_a_name_is_given_once(tmp_path: Path) -> None:
    definitions = Definitions(str(tmp_path))
    definitions.add(BLUE)
    with pytest.raises(NetworkExists):
        definitions.add(BLUE._replace(internal=False))
    assert definitions.all() == [BLUE]
    assert [path.name for path in tmp_path.iterdir()] == ["blue.json"]


@pytest.mark.parametrize("name", ["green", "../blue", "", "a\0b", "x" * 300])
def test_what_is_not_defined_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(NetworkNotFound):
        Definitions(str(tmp_path)).get(name)


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "blue.json").write_text("[]")
    with pytest.raises(Corrupt, match=r"blue\.json is not the definition of a network"):
        Definitions(str(tmp_path)).get("blue")


def test_what_is_removed_is_gone(tmp_path: Path) -> None:
    definitions = Definitions(str(tmp_path))
    definitions.add(BLUE)
    definitions.remove("blue")
    with pytest.raises(NetworkNotFound):
        definitions.remove("blue")
