"""What the documents say to be shown by a test is shown by one that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent.parent
DOCUMENTS = sorted(str(path.relative_to(PROJECT)) for path in (*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")))
CHECKLISTS = {"docs/runtime.md": 200, "docs/escapes.md": 50, "docs/containers.md": 40}
"""Documents that consist of tests' names, and how many there are at least."""


@pytest.fixture(scope="module")
def existing() -> set[str]:
    """The names of all tests, and of the files that they are in."""
    found = set()
    for path in (PROJECT / "tests").rglob("test_*.py"):
        found |= {path.name, *re.findall(r"^ *(?:async )?def (test_\w+)\(", path.read_text(), re.MULTILINE)}
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_that_a_document_names_exists(document: str, existing: set[str]) -> None:
    named = set(re.findall(r"\b(test_\w+(?:\.py)?)", (PROJECT / document).read_text()))
    assert named - existing == set()
    assert len(named) >= CHECKLISTS.get(document, 0)


def test_the_checklists_are_there() -> None:
    assert set(DOCUMENTS) >= set(CHECKLISTS)
