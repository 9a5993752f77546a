"""What a failed step says: the instruction with its place, what went wrong, and its last words."""

from __future__ import annotations

from types import TracebackType

from estiba.builder.request import BuildRequest
from estiba.errors import EstibaError
from estiba.graph.cancellation import Cancelled
from estiba.graph.vertex import Run, Vertex
from estiba.store.scratch import translated


class StepFailed(EstibaError):
    """A RUN's command ended with a status other than 0."""

    def __init__(self, vertex: Vertex, request: BuildRequest, *, exit_code: int, output: str) -> None:
        assert isinstance(vertex.operation, Run)
        words = " ".join(vertex.operation.arguments)
        super().__init__(
            f"{place(vertex, request)}\nthe command {words!r} ended with exit code {exit_code}",
            remedy=f"Its last output:\n{_indented(output)}" if output else "It printed nothing.",
        )
        self.exit_code = exit_code


class InstructionFailed(EstibaError):
    """An instruction could not be carried out."""

    def __init__(self, vertex: Vertex, request: BuildRequest, error: EstibaError) -> None:
        super().__init__(f"{place(vertex, request)}\n{error.message}", remedy=error.remedy)


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


def place(vertex: Vertex, request: BuildRequest) -> str:
    """``FILE:LINE: the instruction``, with a caret under its first word."""
    if not vertex.line:
        return vertex.name
    first, *rest = vertex.source.splitlines() or [vertex.name]
    margin = f"{vertex.line} | "
    return (
        f"{request.filename}:{vertex.line}:\n  {margin}{first}{' …' if rest else ''}\n  {' ' * len(margin)}"
        f"{'^' * max(1, len(first.split(' ', 1)[0]))}"
    )


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
