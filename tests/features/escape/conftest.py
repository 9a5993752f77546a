"""A container with an attacker in it (`escapes.Cell`), gone after the test."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from escapes import Cell


@pytest.fixture
def cell(tmp_path: Any) -> Iterator[Cell]:
    cell = Cell(str(tmp_path))
    yield cell
    cell.remove_everything()


def wait_until(condition: Callable[[], bool], what: str, *, patience_ms: int = 10_000) -> None:
    """Wait for a condition that nothing announces, and fail the test when it does not come."""
    for _ in range(patience_ms // 10):
        if condition():
            return
        select.poll().poll(10)
    pytest.fail(f"did not happen within {patience_ms} ms: {what}")


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[..., None]:
    return wait_until
