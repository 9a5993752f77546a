"""The progress of a build in the lines of Docker's classic builder, which its clients read."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from estiba.docker_api.telling import Tell
from estiba.graph.cancellation import Cancelled
from estiba.graph.vertex import LocalContext, Scratch, Vertex


class BuildWords:
    """Steps that run at the same time take turns line by line. `is_quiet` tells the image alone."""

    def __init__(self, tell: Tell, *, is_quiet: bool) -> None:
        self._tell = tell
        self._is_quiet = is_quiet
        self._lock = threading.Lock()
        self._count = 0

    def started(self, vertex: Vertex, reason: str) -> None:
        self._step(vertex)

    def cached(self, vertex: Vertex, reason: str) -> None:
        if self._step(vertex):
            self._say(" ---> Using cache\n")

    def output(self, vertex: Vertex, data: bytes) -> None:
        self._say(data.decode("utf-8", "replace"))

    def done(self, vertex: Vertex) -> None: ...

    def failed(self, vertex: Vertex, error: Exception) -> None: ...

    def cancelled(self, vertex: Vertex) -> None: ...

    def finished(self, image_id: str, names: Sequence[str], warnings: Sequence[str]) -> None:
        """The last lines; docker's libraries find the image in them."""
        if self._is_quiet:
            self._tell(stream=f"{image_id}\n")
            self._tell(aux={"ID": image_id})
            return
        for warning in warnings:
            self._say(f"[Warning] {warning}\n")
        self._tell(aux={"ID": image_id})
        self._say(f"Successfully built {image_id.partition(':')[2][:12]}\n")
        for name in names:
            self._say(f"Successfully tagged {name}\n")

    def _step(self, vertex: Vertex) -> bool:
        if isinstance(vertex.operation, LocalContext | Scratch):
            return False
        with self._lock:
            self._count += 1
            number = self._count
        self._say(f"Step {number} : {vertex.name}\n")
        return True

    def _say(self, text: str) -> None:
        if self._is_quiet:
            return
        try:
            self._tell(stream=text)
        except Cancelled:
            pass  # the scheduler sees the same cancellation
