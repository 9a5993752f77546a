"""`--chmod`, as chmod(1) means it."""

from __future__ import annotations

import stat

import pytest

from estiba.builder.step.modes import Mode
from estiba.errors import InvalidInput

FILE, DIRECTORY = stat.S_IFREG, stat.S_IFDIR


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("", FILE | 0o640, FILE | 0o640),
        ("755", FILE | 0o640, FILE | 0o755),
        ("0", FILE | 0o640, FILE),
        ("4755", FILE | 0o640, FILE | 0o4755),
        ("u=rwX,go=rX", FILE | 0o666, FILE | 0o644),
        ("u=rwX,go=rX", FILE | 0o100, FILE | 0o755),
        ("u=rwX,go=rX", DIRECTORY | 0o700, DIRECTORY | 0o755),
        ("+x", FILE | 0o644, FILE | 0o755),
        ("a-w", FILE | 0o666, FILE | 0o444),
        ("g=u", FILE | 0o740, FILE | 0o770),
        ("o=", FILE | 0o777, FILE | 0o770),
        ("ug+s,+t", FILE | 0o755, FILE | 0o7755),
        ("u=rw-x+X", FILE | 0o100, FILE | 0o600),
        ("go-rwx", DIRECTORY | 0o755, DIRECTORY | 0o700),
    ],
)
def test_a_mode_becomes_what_chmod_makes_of_it(text: str, before: int, after: int) -> None:
    assert oct(Mode(text).of(before)) == oct(after)


@pytest.mark.parametrize("text", ["rwx", "u", "u=q", "99", "z+x", ",", "u=r,,g=r"])
def test_what_is_no_mode_is_told(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no mode"):
        Mode(text)
