"""The progress of a build in the lines of Docker's classic builder, which its clients read."""

from __future__ import annotations

import codecs
import threading
from collections.abc import Sequence

from estiba.docker_api.telling import Tell
from estiba.graph.cancellation import Cancelled
from estiba.graph.vertex import LocalContext, Scratch, Vertex

_Utf8 = codecs.getincrementaldecoder("utf-8")


class BuildWords:
    """Steps that run at the same time take turns line by line. `is_quiet` tells the image alone."""

    def __init__(self, tell: Tell, *, is_quiet: bool) -> None:
        self._tell = tell
        self._is_quiet = is_quiet
        self._lock = threading.Lock()
        self._count = 0
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}  # a step's output comes cut anywhere

    def started(self, vertex: Vertex, reason: str) -> None:
        self._step(vertex)

    def cached(self, vertex: Vertex, reason: str) -> None:
        if self._step(vertex):
            self.say(" ---> Using cache\n")

    def output(self, vertex: Vertex, data: bytes) -> None:
        with self._lock:
            decoder = self._decoders.setdefault(vertex.digest, _Utf8("replace"))
            text = decoder.decode(data)
        self.say(text)

    def done(self, vertex: Vertex) -> None:
        self._end(vertex)

    def failed(self, vertex: Vertex, error: Exception) -> None:
        self._end(vertex)

    def cancelled(self, vertex: Vertex) -> None:
        self._end(vertex)

    def _end(self, vertex: Vertex) -> None:
        """Say what is left of a character that was cut."""
        with self._lock:
            decoder = self._decoders.pop(vertex.digest, None)
        self.say(decoder.decode(b"", final=True) if decoder else "")

    def finished(self, image_id: str, names: Sequence[str], warnings: Sequence[str]) -> None:
        """The last lines; docker's libraries find the image in them."""
        if self._is_quiet:
            self._tell(stream=f"{image_id}\n")
            self._tell(aux={"ID": image_id})
            return
        for warning in warnings:
            self.say(f"[Warning] {warning}\n")
        self._tell(aux={"ID": image_id})
        self.say(f"Successfully built {image_id.partition(':')[2][:12]}\n")
        for name in names:
            self.say(f"Successfully tagged {name}\n")

    def _step(self, vertex: Vertex) -> bool:
        if isinstance(vertex.operation, LocalContext | Scratch):
            return False
        with self._lock:
            self._count += 1
            number = self._count
        self.say(f"Step {number} : {vertex.name}\n")
        return True

    def say(self, text: str) -> None:
        """Any words; none in a quiet build."""
        if self._is_quiet or not text:
            return
        try:
            self._tell(stream=text)
        except Cancelled:
            pass  # the scheduler sees the same cancellation
