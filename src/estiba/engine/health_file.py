"""The files in which a container's monitor notes the container's health, for all who look: one while it runs, and one
of its last run, in which it has become unhealthy at the end, as in Docker."""

from __future__ import annotations

import os

from estiba.engine import lifecycle
from estiba.engine.health import State, command
from estiba.engine.paths import ContainerPaths
from estiba.errors import InvalidInput
from estiba.oci import json_text
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.engine import Engine
    from estiba.engine.records import ContainerRecord


def write(path: str, state: State) -> None:
    """Note `state`: whoever looks meanwhile sees this or the one before."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(json_text.dumps(state.to_json()))
    os.rename(f"{path}.new", path)


def forget(path: str) -> None:
    """Nothing is known of it any more."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def of(engine: Engine, record: ContainerRecord) -> State | None:
    """The health of a container that runs, or of its last run; None where nothing checked it."""
    if '"health"' not in record.options:
        return None
    if not command(record.parsed_options().health):
        return None
    place = ContainerPaths(engine.store.paths.root, record.run or engine.run, record.id)
    lives = record.state in (lifecycle.RUNNING, lifecycle.PAUSED)
    try:
        return State.from_json(json_text.load(place.health if lives else place.last_health))
    except (OSError, InvalidInput, LookupError, TypeError, ValueError):
        return None


def status_of(engine: Engine, record: ContainerRecord) -> str:
    """Its status; "" where nothing checks it."""
    found = of(engine, record)
    return found.status if found is not None else ""
