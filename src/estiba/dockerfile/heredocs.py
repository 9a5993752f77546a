"""Here-documents: ``<<NAME``, ``<<-NAME`` and ``<<"NAME"``, several in one instruction (Dockerfile reference)."""

from __future__ import annotations

import re

from estiba.dockerfile.words import shell_words
from estiba.values import NamedTuple

_MARKER = re.compile(r"""\d*<<(-?+)((?:[^<\s'"\\]|\\.|'[^'<]*'|"[^"<]*")+)""")
_QUOTED = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)""")


class Marker(NamedTuple):
    """What announces a here-document. `expands`: variables in it count, since the name is not quoted."""

    name: str
    strips_tabs: bool
    expands: bool


class Heredoc(NamedTuple):
    """A here-document: `raw` is its text as it stands, with the end of each line."""

    name: str
    raw: str
    strips_tabs: bool
    expands: bool

    @property
    def content(self) -> str:
        """`raw`, without the tabs that begin its lines where the marker says so."""
        return re.sub(r"(?m)^\t+", "", self.raw) if self.strips_tabs else self.raw


def marker(word: str) -> Marker | None:
    """The here-document that a whole word announces, None where it is another word."""
    match = _MARKER.fullmatch(word)
    if match is None:
        return None
    name, quoted = match[2], False
    parts: list[str] = []
    position = 0
    for quote in _QUOTED.finditer(name):
        quoted = True
        parts += (name[position : quote.start()], quote[quote.lastindex or 0])
        position = quote.end()
    parts.append(name[position:])
    unquoted = "".join(parts)
    return Marker(unquoted, bool(match[1]), not quoted) if unquoted else None


def markers(text: str, escape: str) -> list[Marker]:
    """The here-documents that an instruction announces, in order."""
    if "<<" not in text:
        return []
    found = (marker(word.text) for word in shell_words(text, escape))
    return [each for each in found if each is not None]
