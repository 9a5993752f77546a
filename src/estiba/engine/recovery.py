"""What a killed monitor left: found by its free lock, cleaned up by whatever command comes next.

A container without its monitor has nobody who keeps its output or waits for it, so what still runs of it is killed.
After a reboot there is nothing to kill: only the rows are put right.
"""

from __future__ import annotations

import os
import time

from estiba.engine.lifecycle import CREATED, EXITED, HAS_MONITOR, REMOVING, STARTING
from estiba.engine.locks import Lock, try_lock
from estiba.engine.paths import ContainerPaths
from estiba.errors import EstibaError, NotFound
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.engine import Engine
    from estiba.engine.records import ContainerRecord
    from estiba.runtime.client import RuntimeClient

KILLED = 137
REBOOTED = 255


def is_abandoned(record: ContainerRecord, paths: ContainerPaths) -> bool:
    """Whether a monitor should answer for the container and none does. Cheap: one lock is tried."""
    if record.state not in HAS_MONITOR and record.state != REMOVING:
        return False
    try:
        lock = try_lock(paths.lock)
    except NotFound:
        return True
    if lock is None:
        return False
    lock.release()
    return True


def recover(engine: Engine, record: ContainerRecord) -> ContainerRecord | None:
    """Bring an abandoned container to an end, and give its record; None when it is gone for good.

    Another process that does the same, or a monitor that is alive after all, is left alone.
    """
    paths = engine.paths(record.id)
    try:
        lock: Lock | None = try_lock(paths.lock)
    except NotFound:
        lock = Lock(-1)  # the files went before the row did
    if lock is None:
        return engine.containers.get(record.id)
    with lock:
        current = engine.containers.get(record.id)
        if current is None or (current.state not in HAS_MONITOR and current.state != REMOVING):
            return current
        clear_remains(engine, current)
        goes_by_itself = current.parsed_options().auto_remove
        if current.state == REMOVING or goes_by_itself:
            from estiba.engine.removal import remove_container

            # Nobody knows whether a killed removal had been asked for the volumes too: what may be wanted stays.
            remove_container(engine.store, engine.containers, engine.volumes, paths, anonymous_volumes=goes_by_itself)
            return None
        if current.state == STARTING and not current.started:
            engine.containers.set_state(record.id, CREATED)
        elif current.state == STARTING:
            engine.containers.set_state(record.id, EXITED)
        else:
            code = KILLED if current.boot == engine.boot else REBOOTED
            word = "its monitor was killed" if current.boot == engine.boot else "the machine was restarted"
            engine.containers.set_exited(record.id, durable=False, exit_code=code, finished=time.time(), error=word)
        return engine.containers.get(record.id)


def clear_remains(engine: Engine, record: ContainerRecord) -> None:
    """Kill what still runs of a container, and give back its network and what the runtime keeps of it."""
    from estiba.store.snapshots.trees import remove_tree

    if record.boot != engine.boot:
        return
    run = record.run or engine.run
    bundle = ContainerPaths(engine.store.paths.root, run, record.id).bundle
    if os.path.isdir(bundle):
        runtime = engine.runtime_of(record)
        if record.runtime:
            from estiba.engine import another_runtime

            another_runtime.clear(runtime, record.id, config=f"{bundle}/config.json")
        else:
            _delete(runtime, record.id)
    engine.networks_at(run).detach(record.id)
    remove_tree(bundle)


def _delete(runtime: RuntimeClient, container_id: str) -> None:
    try:
        runtime.delete(container_id, force=True)
    except NotFound:
        pass
    except EstibaError:
        if os.path.isdir(f"{runtime.root}/{container_id}"):
            raise
