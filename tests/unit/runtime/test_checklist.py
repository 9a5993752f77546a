"""The checklist of the specification names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent.parent


def test_every_test_of_the_checklist_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (TESTS.parent / "docs" / "runtime.md").read_text()))
    sources = (path.read_text() for path in TESTS.rglob("test_*.py"))
    existing = {name for source in sources for name in re.findall(r"def (test_\w+)\(", source)}
    assert len(named) > 40
    assert named - existing == set()
