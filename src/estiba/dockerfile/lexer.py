"""From text to statements: continuation lines joined, comments dropped, here-documents read, every place kept.

Dockerfile reference, "Format" and "Here-documents". A comment inside a continuation is dropped whole; an empty line
there is ignored with a warning; a continuation line keeps the blanks that it begins with.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from estiba.dockerfile.directives import Directives, read_directives
from estiba.dockerfile.errors import DockerfileError, NotYetInDockerfile, Place, Source
from estiba.dockerfile.heredocs import Heredoc, Marker, markers
from estiba.dockerfile.warnings import Warning
from estiba.values import NamedTuple

_WITH_HEREDOCS = frozenset({"add", "copy", "run"})
_KEYWORD = re.compile(r"\s*(\S+)\s*")


class Segment(NamedTuple):
    """From `offset` on, a statement's text comes from this line and column (both count from 1)."""

    offset: int
    line: int
    column: int


class Statement(NamedTuple):
    """One instruction as text. `keyword` is as written; `start` is where its arguments begin in `text`.

    `comment` is the line of comment right above it, "" where there is none.
    """

    source: Source
    text: str
    segments: tuple[Segment, ...]
    keyword: str
    start: int
    last_line: int
    heredocs: tuple[Heredoc, ...] = ()
    comment: str = ""

    @property
    def line(self) -> int:
        """The line on which it begins."""
        return self.segments[0].line

    @property
    def arguments(self) -> str:
        return self.text[self.start :].strip()

    def place(self, offset: int = 0, width: int = 1) -> Place:
        """Where a character of `text` stands in the file."""
        index = bisect_right(self.segments, offset, key=lambda segment: segment.offset) - 1
        segment = self.segments[max(0, index)]
        return Place(self.source, segment.line, segment.column + max(0, offset - segment.offset), max(1, width))

    def place_of(self, word: str) -> Place:
        """Where `word` stands among the arguments; the instruction itself where it does not."""
        offset = self.text.find(word, self.start) if word else -1
        if offset < 0:
            return self.place(self.text.find(self.keyword), len(self.keyword))
        return self.place(offset, len(word))

    def error(self, claim: str, *, word: str = "", remedy: str = "") -> DockerfileError:
        return DockerfileError(claim, place=self.place_of(word), remedy=remedy)

    def error_at(self, offset: int, claim: str, *, width: int = 1, remedy: str = "") -> DockerfileError:
        return DockerfileError(claim, place=self.place(offset, width), remedy=remedy)

    def warning(self, rule: str, message: str) -> Warning:
        return Warning(rule, message, self.line, self.last_line)

    def not_yet(self, feature: str, *, word: str = "", remedy: str = "") -> NotYetInDockerfile:
        return NotYetInDockerfile(feature, place=self.place_of(word), remedy=remedy)


class Lexed(NamedTuple):
    source: Source
    directives: Directives
    statements: tuple[Statement, ...]
    warnings: tuple[Warning, ...]


def lex(text: str, *, filename: str) -> Lexed:
    """Split a Dockerfile into statements.

    Raises:
        DockerfileError: a NUL character, a bad directive, a here-document without an end.
    """
    text = text.removeprefix("\ufeff")
    raw_lines = text.split("\n")
    if raw_lines[-1] == "":
        raw_lines.pop()
    source = Source(filename, tuple(line.removesuffix("\r") for line in raw_lines))
    for number, line in enumerate(source.lines, 1):
        if "\0" in line:
            place = Place(source, number, line.index("\0") + 1)
            raise DockerfileError("a NUL character: this is no text file", place=place)
    directives = read_directives(source)
    reader = _Reader(source, raw_lines, directives)
    statements = tuple(reader.statements())
    return Lexed(source, directives, statements, tuple(reader.warnings))


class _Reader:
    """Walks the lines once."""

    def __init__(self, source: Source, raw_lines: list[str], directives: Directives) -> None:
        self._source = source
        self._raw_lines = raw_lines
        self._escape = escape = directives.escape
        self._directives = directives.lines
        # An escape at the end continues the line, unless it is escaped itself.
        mark = re.escape(escape)
        self._continuation = re.compile(rf"(?:(?<!{mark}){mark})[ \t]*$")
        self._next = 0
        self.warnings: list[Warning] = []

    def statements(self) -> list[Statement]:
        found: list[Statement] = []
        comment = ""
        while self._next < len(self._source.lines):
            line = self._source.lines[self._next].strip()
            if not line or line.startswith("#"):
                is_directive = self._next < self._directives
                self._next += 1
                comment = "" if is_directive else line[1:].strip()
                continue
            statement = self._statement()
            if statement is not None:
                found.append(statement._replace(comment=comment))
            comment = ""
        return found

    def _statement(self) -> Statement | None:
        text, segments = self._join()
        match = _KEYWORD.match(text)
        if match is None:
            return None
        keyword = match[1]
        statement = Statement(self._source, text, tuple(segments), keyword, match.end(), self._next)
        heredocs = tuple(self._heredoc(each, statement) for each in self._markers(statement))
        return statement._replace(heredocs=heredocs, last_line=self._next)

    def _join(self) -> tuple[str, list[Segment]]:
        """The text of a statement whose first line is next, and where its parts stand."""
        parts: list[str] = []
        segments: list[Segment] = []
        length, begin, has_empty = 0, self._next, False
        while self._next < len(self._source.lines):
            line = self._source.lines[self._next]
            number = self._next = self._next + 1
            if parts and line.lstrip().startswith("#"):
                continue
            if parts and not line.strip():
                has_empty = True
                continue
            column = 1
            if not parts:
                column += len(line) - len(line.lstrip())
                line = line.lstrip()
            continues = self._continuation.search(line)
            piece = line[: continues.start()] if continues else line
            segments.append(Segment(length, number, column))
            parts.append(piece)
            length += len(piece)
            if not continues:
                break
        if has_empty:
            message = "an empty line in a continuation"
            self.warnings.append(Warning("NoEmptyContinuation", message, begin + 1, self._next))
        return "".join(parts), segments

    def _markers(self, statement: Statement) -> list[Marker]:
        keyword, rest = statement.keyword.lower(), statement.text[statement.start :]
        if keyword == "onbuild":
            inner = _KEYWORD.match(rest)
            keyword, rest = (inner[1].lower(), rest[inner.end() :]) if inner else ("", "")
        return markers(rest, self._escape) if keyword in _WITH_HEREDOCS else []

    def _heredoc(self, announced: Marker, statement: Statement) -> Heredoc:
        begin = self._next
        for index in range(begin, len(self._source.lines)):
            line = self._source.lines[index]
            if (line.lstrip("\t") if announced.strips_tabs else line) == announced.name:
                self._next = index + 1
                raw = "".join(line + "\n" for line in self._raw_lines[begin:index])
                return Heredoc(announced.name, raw, announced.strips_tabs, announced.expands)
        raise statement.error(
            f"the here-document {announced.name} has no end",
            word=announced.name,
            remedy=f"Write {announced.name} alone on the line after its text.",
        )
