"""The fake of progress: it remembers what happened, in the order in which it did."""

from __future__ import annotations

from threading import Lock

from estiba.graph.vertex import Vertex
from estiba.values import NamedTuple


class Event(NamedTuple):
    """`kind` is a method of `Progress`; `text` its reason, output or error."""

    kind: str
    name: str
    text: str = ""


class RecordingProgress:
    """Keeps the events of a run; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._events: list[Event] = []

    @property
    def events(self) -> tuple[Event, ...]:
        with self._lock:
            return tuple(self._events)

    def kinds(self, name: str) -> tuple[str, ...]:
        """What happened to the step of this name."""
        return tuple(event.kind for event in self.events if event.name == name)

    def started(self, vertex: Vertex, reason: str) -> None:
        self._add("started", vertex, reason)

    def cached(self, vertex: Vertex, reason: str) -> None:
        self._add("cached", vertex, reason)

    def output(self, vertex: Vertex, data: bytes) -> None:
        self._add("output", vertex, data.decode(errors="replace"))

    def done(self, vertex: Vertex) -> None:
        self._add("done", vertex)

    def failed(self, vertex: Vertex, error: Exception) -> None:
        self._add("failed", vertex, str(error))

    def cancelled(self, vertex: Vertex) -> None:
        self._add("cancelled", vertex)

    def _add(self, kind: str, vertex: Vertex, text: str = "") -> None:
        with self._lock:
            self._events.append(Event(kind, vertex.name, text))
