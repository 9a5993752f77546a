"""The checklist of the specification, and that of the known escapes, name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("page", ["runtime.md", "escapes.md", "containers.md"])
def test_every_test_of_the_checklist_exists(page: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", (TESTS.parent / "docs" / page).read_text()))
    sources = (path.read_text() for path in TESTS.rglob("test_*.py"))
    existing = {name for source in sources for name in re.findall(r"def (test_\w+)\(", source)}
    assert len(named) > 20
    assert named - existing == set()
