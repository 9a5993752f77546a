"""How a build is shown: lines that read well in a terminal and in a log."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from estiba.errors import EstibaError
from estiba.graph.vertex import LocalContext, Scratch, Vertex
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO


class PlainProgress:
    """One line for what happens, with the step's number in front; a step's output as it comes."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._began: dict[str, float] = {}
        self._rest: dict[str, bytes] = {}
        self._start = time.monotonic()

    def started(self, vertex: Vertex, reason: str) -> None:
        if isinstance(vertex.operation, LocalContext | Scratch):
            return
        with self._lock:
            self._began[vertex.digest] = time.monotonic()
            self._say(vertex, vertex.name)
            if reason:
                self._say(vertex, reason)

    def cached(self, vertex: Vertex, reason: str) -> None:
        with self._lock:
            self._say(vertex, vertex.name)
            self._say(vertex, f"CACHED ({reason.removeprefix('cached: ')})")

    def output(self, vertex: Vertex, data: bytes) -> None:
        with self._lock:
            lines = (self._rest.pop(vertex.digest, b"") + data).split(b"\n")
            self._rest[vertex.digest] = lines.pop()
            for line in lines:
                self._print_output(vertex, line)

    def done(self, vertex: Vertex) -> None:
        if isinstance(vertex.operation, LocalContext | Scratch):
            return
        with self._lock:
            self._flush(vertex)
            self._say(vertex, f"DONE {self._seconds(vertex):.1f}s")

    def failed(self, vertex: Vertex, error: Exception) -> None:
        with self._lock:
            self._flush(vertex)
            words = error.message if isinstance(error, EstibaError) else str(error)
            if vertex.digest not in self._numbers:  # it went wrong before it began
                self._say(vertex, vertex.name)
            self._say(vertex, f"ERROR {words.splitlines()[-1] if words else type(error).__name__}")

    def cancelled(self, vertex: Vertex) -> None:
        with self._lock:
            self._say(vertex, "CANCELED")

    def finished(self, image_id: str, names: Sequence[str]) -> None:
        """The last words of a build that succeeded."""
        with self._lock:
            print(f"image {image_id}", file=self._out)
            for name in names:
                print(f"named {name}", file=self._out)
            print(f"built in {time.monotonic() - self._start:.1f}s", file=self._out, flush=True)

    def _say(self, vertex: Vertex, words: str) -> None:
        number = self._numbers.setdefault(vertex.digest, len(self._numbers) + 1)
        print(f"#{number} {words}", file=self._out, flush=True)

    def _print_output(self, vertex: Vertex, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
        self._say(vertex, f"{self._seconds(vertex):.3f} {text}")

    def _flush(self, vertex: Vertex) -> None:
        if rest := self._rest.pop(vertex.digest, b""):
            self._print_output(vertex, rest)

    def _seconds(self, vertex: Vertex) -> float:
        return time.monotonic() - self._began.get(vertex.digest, self._start)


class QuietProgress:
    """Shows nothing; what failed is told by the error."""

    def started(self, vertex: Vertex, reason: str) -> None: ...

    def cached(self, vertex: Vertex, reason: str) -> None: ...

    def output(self, vertex: Vertex, data: bytes) -> None: ...

    def done(self, vertex: Vertex) -> None: ...

    def failed(self, vertex: Vertex, error: Exception) -> None: ...

    def cancelled(self, vertex: Vertex) -> None: ...

    def finished(self, image_id: str, names: Sequence[str]) -> None: ...
