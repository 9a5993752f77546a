"""Errors about a Dockerfile: the file and line, the text, and a caret under what is wrong."""

from __future__ import annotations

from collections.abc import Iterable

from estiba.errors import InvalidInput, NotThereYet
from estiba.values import NamedTuple

_WIDEST = 110
"""The longest part of a line in characters that an error shows."""


class Source(NamedTuple):
    """A Dockerfile as it was read: its name for messages, and its lines without their ends."""

    filename: str
    lines: tuple[str, ...]


class Place(NamedTuple):
    """Somewhere in a source; lines and columns count from 1."""

    source: Source
    line: int
    column: int = 1
    width: int = 1

    def describe(self, claim: str) -> str:
        """``file:line:column: claim``, the line, and a caret under the place."""
        text = self.source.lines[self.line - 1] if 0 < self.line <= len(self.source.lines) else ""
        start = min(self.column - 1, len(text))
        cut = max(0, start - _WIDEST // 2) if len(text) > _WIDEST else 0
        shown = _printable(text[cut : cut + _WIDEST])
        pad = "".join("\t" if char == "\t" else " " for char in shown[: start - cut])
        carets = "^" * max(1, min(self.width, len(shown) - len(pad)))
        gutter = f"{self.line:>4} | "
        blank = " " * (len(gutter) - 2) + "| "
        return (
            f"{self.source.filename}:{self.line}:{self.column}: {claim}\n{gutter}{shown}".rstrip()
            + f"\n{blank}{pad}{carets}"
        )


def _printable(text: str) -> str:
    """Nothing that moves a terminal's cursor, one character for each."""
    return "".join(char if char == "\t" or char.isprintable() else "?" for char in text)


class DockerfileError(InvalidInput):
    """A Dockerfile cannot be understood, at `place`; `claim` is the sentence without the picture."""

    def __init__(self, claim: str, *, place: Place, remedy: str = "") -> None:
        super().__init__(place.describe(claim), remedy=remedy)
        self.claim = claim
        self.place = place


class NotYetInDockerfile(NotThereYet):
    """A part of the Dockerfile language that is understood but cannot be built yet, at `place`."""

    def __init__(self, feature: str, *, place: Place, remedy: str = "") -> None:
        super().__init__(place.describe(f"{feature}: Estiba cannot build this yet"), remedy=remedy)
        self.feature = feature
        self.place = place


def near(word: str, known: Iterable[str]) -> str:
    """A question that names what `word` was probably meant to be, or ""."""
    from difflib import get_close_matches  # only where something is wrong

    candidates = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), candidates, n=1, cutoff=0.6)
    return f"Did you mean {candidates[found[0]]}?" if found else ""
