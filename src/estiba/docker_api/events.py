"""What happens, told to whoever listens; the last of it is remembered for those who ask later."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence

from estiba.oci.labels import matches_label
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from estiba.engine.records import ContainerRecord

_REMEMBERED = 1024
_MOST_WAITING = 4096


class Event(NamedTuple):
    """`kind` is container, image, network or volume; `action` Docker's word; `nanoseconds` since 1970."""

    kind: str
    action: str
    actor: str
    attributes: Mapping[str, str]
    nanoseconds: int

    def to_json(self) -> dict[str, object]:
        value: dict[str, object] = {
            "Type": self.kind,
            "Action": self.action,
            "Actor": {"ID": self.actor, "Attributes": dict(self.attributes)},
            "scope": "local",
            "time": self.nanoseconds // 10**9,
            "timeNano": self.nanoseconds,
        }
        if self.kind in ("container", "image"):  # older clients read these
            value = {"status": self.action, "id": self.actor, **value}
            if self.kind == "container":
                value["from"] = self.attributes.get("image", "")
        return value


class Listener:
    """What one client has not heard yet. One that falls far behind is sent away: better an end than gaps."""

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque()
        self._is_lost = False
        self._changed = asyncio.Event()

    def put(self, event: Event) -> bool:
        """False for one that is sent away."""
        self._changed.set()
        if len(self._waiting) >= _MOST_WAITING:
            self._is_lost = True
            return False
        self._waiting.append(event)
        return True

    async def next(self) -> Event | None:
        """None when there will be no more."""
        while not self._waiting:
            if self._is_lost:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popleft()


class Events:
    """Of the loop's thread only."""

    def __init__(self) -> None:
        self._past: deque[Event] = deque(maxlen=_REMEMBERED)
        self._listeners: set[Listener] = set()

    def tell(self, kind: str, action: str, actor: str, attributes: Mapping[str, str] | None = None) -> None:
        event = Event(kind, action, actor, dict(attributes or {}), time.time_ns())
        self._past.append(event)
        for listener in list(self._listeners):
            if not listener.put(event):
                self._listeners.discard(listener)

    def tell_of(self, record: ContainerRecord, action: str, more: Mapping[str, str] | None = None) -> None:
        """Tell what has happened to a container."""
        self.tell("container", action, record.id, attributes(record) | dict(more or {}))

    def since(self, nanoseconds: int) -> list[Event]:
        """Those that are remembered, from a time on."""
        return [event for event in self._past if event.nanoseconds >= nanoseconds]

    def listen(self) -> Listener:
        """Of what comes from now on; to be given back to `leave`."""
        listener = Listener()
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)


def attributes(record: ContainerRecord) -> dict[str, str]:
    """What an event says of a container."""
    return dict(record.parsed_process().labels) | {"image": record.image, "name": record.name}


def is_wanted(event: Event, filters: Mapping[str, Sequence[str]]) -> bool:
    """Whether an event passes: values of one key are alternatives, keys must all match. Pure."""
    for key, values in filters.items():
        if key == "label":
            if not all(matches_label(event.attributes, value) for value in values):
                return False
        elif not any(_matches(event, key, value) for value in values):
            return False
    return True


def _matches(event: Event, key: str, value: str) -> bool:
    if key == "type":
        return event.kind == value
    if key in ("event", "action"):
        return event.action == value or event.action.startswith(f"{value}:")
    if key in ("container", "image", "network", "volume"):
        if key == "image" and event.kind == "container":
            return event.attributes.get("image", "") == value
        return event.kind == key and (
            (len(value) >= 3 and event.actor.startswith(value)) or event.attributes.get("name") == value
        )
    return False
