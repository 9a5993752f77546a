"""A store of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from estiba.store.store import Store


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "root")) as opened:
        yield opened
