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


class Events:
    """Of the loop's thread only."""

    def __init__(self) -> None:
        self._past: deque[Event] = deque(maxlen=_REMEMBERED)
        self._listeners: set[asyncio.Queue[Event]] = set()

    def tell(self, kind: str, action: str, actor: str, attributes: Mapping[str, str] | None = None) -> None:
        event = Event(kind, action, actor, dict(attributes or {}), time.time_ns())
        self._past.append(event)
        for listener in self._listeners:
            listener.put_nowait(event)

    def tell_of(self, record: ContainerRecord, action: str, more: Mapping[str, str] | None = None) -> None:
        """Tell what has happened to a container."""
        self.tell("container", action, record.id, attributes(record) | dict(more or {}))

    def since(self, nanoseconds: int) -> list[Event]:
        """Those that are remembered, from a time on."""
        return [event for event in self._past if event.nanoseconds >= nanoseconds]

    def listen(self) -> asyncio.Queue[Event]:
        """A queue of what comes; to be given back to `leave`."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self._listeners.add(queue)
        return queue

    def leave(self, queue: asyncio.Queue[Event]) -> None:
        self._listeners.discard(queue)


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
