"""Stopping every process of a container, and letting them go on: the control group's freezer, by the runtime."""

from __future__ import annotations

from estiba.engine import lifecycle
from estiba.engine.locks import try_lock
from estiba.engine.records import NoSuchContainer
from estiba.errors import Conflict, EstibaError, NotFound
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.engine import Engine
    from estiba.engine.records import ContainerRecord


def pause(engine: Engine, text: str) -> None:
    """Stop every process of the container; comes back when all are.

    Raises:
        NoSuchContainer, WrongState. RuntimeFailed: the kernel could not, or the container has no control group.
    """
    record = engine.find(text)
    lifecycle.must_act("pause", record.state, name=record.name)
    engine.runtime_of(record).pause(record.id)
    engine.containers.set_state(record.id, lifecycle.PAUSED)


def unpause(engine: Engine, text: str) -> None:
    """Let the processes go on, also where a killed `pause` has stopped them and noted nothing.

    Raises:
        NoSuchContainer, WrongState. Conflict: its files are being read. RuntimeFailed: as `pause`.
    """
    record = engine.find(text)
    if record.state != lifecycle.RUNNING or engine.runtime_of(record).state(record.id).status != "paused":
        lifecycle.must_act("unpause", record.state, name=record.name)
    still = try_lock(engine.paths(record.id).still)
    if still is None:
        raise Conflict(
            f"container {record.name} is paused while an image is made of it",
            remedy="Wait until that is done, or stop the container.",
        )
    with still:
        go_on(engine, record)


def go_on(engine: Engine, record: ContainerRecord) -> None:
    """As `unpause`, for a container that is known to be paused; it may have ended meanwhile."""
    try:
        engine.runtime_of(record).resume(record.id)
    except EstibaError:
        if not has_ended(engine, record):
            raise
        return
    try:
        engine.containers.set_state(record.id, lifecycle.RUNNING)
    except (Conflict, NoSuchContainer):
        pass  # a signal that waited for this has ended it


def has_ended(engine: Engine, record: ContainerRecord) -> bool:
    """Whether the runtime knows its first process to be gone; the record may tell so a moment later."""
    try:
        return engine.runtime_of(record).state(record.id).status == "stopped"
    except NotFound:
        return True
