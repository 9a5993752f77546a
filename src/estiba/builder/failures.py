"""What a failed step says: the instruction with its place, what went wrong, and its last words."""

from __future__ import annotations

from types import TracebackType

from estiba.builder.request import BuildRequest
from estiba.errors import EstibaError, NotFound
from estiba.graph.cancellation import Cancelled
from estiba.graph.vertex import Copy, Run, Vertex
from estiba.store.scratch import translated

_WIDEST = 110
"""The longest part of a line in characters that is shown."""

_MOST_LINES = 12
_LONGEST_COMMAND = 200


class StepFailed(EstibaError):
    """A RUN's command ended with a status other than 0; `note` is what is known of why. `command` is its words."""

    def __init__(self, vertex: Vertex, request: BuildRequest, *, exit_code: int, output: str, note: str = "") -> None:
        assert isinstance(vertex.operation, Run)
        words = " ".join(vertex.operation.arguments)
        shown = words if len(words) <= _LONGEST_COMMAND else f"{words[:_LONGEST_COMMAND]}…"
        meaning = note or _meaning(exit_code)
        super().__init__(
            f"{place(vertex, request)}\nthe command {shown!r} ended with exit code {exit_code}"
            + (f": {meaning}" if meaning else ""),
            remedy=f"Its last output:\n{_indented(output)}" if output else "It printed nothing.",
        )
        self.exit_code = exit_code
        self.command = words


class InstructionFailed(EstibaError):
    """An instruction could not be carried out."""

    def __init__(self, vertex: Vertex, request: BuildRequest, error: EstibaError) -> None:
        word = _missing(vertex, error) if isinstance(error, NotFound) else ""
        super().__init__(f"{place(vertex, request, word=word)}\n{error.message}", remedy=error.remedy)


class located:  # noqa: N801 - used as a word: with located(vertex, request)
    """``with located(vertex, request):`` tells of any error within at which instruction it came."""

    def __init__(self, vertex: Vertex, request: BuildRequest) -> None:
        self._vertex = vertex
        self._request = request

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise InstructionFailed(
                self._vertex, self._request, translated(error, str(error.filename or "the store/"))
            ) from error
        if isinstance(error, EstibaError) and not isinstance(error, Cancelled | StepFailed | InstructionFailed):
            raise InstructionFailed(self._vertex, self._request, error) from error


def place(vertex: Vertex, request: BuildRequest, *, word: str = "") -> str:
    """``FILE:LINE:``, the lines of the instruction as they are written, and a caret under `word`, else under the first
    word of them."""
    if not vertex.line:
        return vertex.name
    lines = _written(vertex, request)
    number, column = 0, len(lines[0]) - len(lines[0].lstrip())
    width = len((lines[0].split() or [""])[0])
    for index, line in enumerate(lines if word else ()):
        found = line.find(word, 0 if index else width)
        if found >= 0:
            number, column, width = index, found, len(word)
            break
    gutter = len(str(vertex.line + len(lines) - 1))
    shown = [f"{request.filename}:{vertex.line + number}:"]
    for index, line in enumerate(lines):
        if index >= _MOST_LINES and index != number:
            shown.append(f"  {'':{gutter}} | … {len(lines) - index} more lines")
            break
        cut = max(0, column - _WIDEST // 2) if index == number and len(line) > _WIDEST else 0
        part = line[cut : cut + _WIDEST]
        shown.append(
            f"  {vertex.line + index:>{gutter}} | {_printable(part)}{'…' if len(line) > cut + _WIDEST else ''}"
        )
        if index == number:
            pad = "".join("\t" if char == "\t" else " " for char in part[: column - cut])
            shown.append(f"  {'':{gutter}} | {pad}{'^' * max(1, min(width, len(part) - len(pad)))}")
    return "\n".join(shown)


def _written(vertex: Vertex, request: BuildRequest) -> list[str]:
    """The lines of the Dockerfile that a step comes from; what a base image's ONBUILD says stands in no file."""
    from estiba.dockerfile.lexer import lex

    lexed = lex(request.dockerfile, filename=request.filename)
    for statement in lexed.statements:
        if statement.line == vertex.line and vertex.source in (statement.text, ""):
            return list(lexed.source.lines[statement.line - 1 : statement.last_line])
    return vertex.source.splitlines()[:1] or [vertex.name]


def _missing(vertex: Vertex, error: EstibaError) -> str:
    """The source of a COPY that an error is about, as the instruction has it; "" where that is not to be told."""
    if not isinstance(vertex.operation, Copy):
        return ""
    for source in vertex.operation.sources:
        if repr(source) in error.message and source in vertex.source:
            return source
    return ""


def _meaning(exit_code: int) -> str:
    """What a shell or the kernel means by an exit code."""
    if exit_code == 127:
        return "a program was not found"
    if exit_code == 126:
        return "a program cannot be executed"
    if 128 < exit_code < 128 + 65:
        import signal

        try:
            return f"it was ended by {signal.Signals(exit_code - 128).name}"
        except ValueError:
            return f"it was ended by signal {exit_code - 128}"
    return ""


def _printable(text: str) -> str:
    return "".join(char if char == "\t" or char.isprintable() else "?" for char in text)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
