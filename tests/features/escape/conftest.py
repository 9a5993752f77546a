"""A container with an attacker in it (`escapes.Cell`), gone after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from escapes import Cell
from waiting import wait_until


@pytest.fixture
def cell(tmp_path: Any) -> Iterator[Cell]:
    cell = Cell(str(tmp_path))
    yield cell
    cell.remove_everything()


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[..., None]:
    return wait_until
