"""Prune: what has ended, what only that needed, and what nothing needs, as one plan; then just that plan."""

from __future__ import annotations

from estiba.engine.lifecycle import CREATED, DEAD, EXITED
from estiba.engine.removal import holder, snapshot_key
from estiba.errors import EstibaError
from estiba.store import gc
from estiba.store.gc import Options, Plan, Removal
from estiba.store.scratch import size_on_disk
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from estiba.engine.engine import Engine

CONTAINER = "container"
VOLUME = "volume"


class Pruned(NamedTuple):
    """`removed` is what went; `refused` says of what else why it stays; the volumes in `trashed` can be taken back, and
    free nothing yet.
    """

    removed: Plan
    refused: tuple[str, ...]
    trashed: tuple[str, ...] = ()


def plan(engine: Engine, options: Options, *, volumes: bool = False) -> Plan:
    """What would go: containers that do not run, with `volumes` the anonymous volumes that only they have, and what
    `store.gc` then finds without a user.
    """
    store = engine.store
    ended = [record for record in engine.all() if record.state in (CREATED, EXITED, DEAD)]
    removals = []
    for record in ended:
        size = size_on_disk(engine.paths(record.id).directory) + _snapshot_size(engine, record.id)
        removals.append(Removal(CONTAINER, record.id, f"{record.name} does not run", size))
    names = {record.name for record in ended}
    if volumes:
        for volume in engine.volumes.all():
            if volume.is_anonymous and names.issuperset(engine.volumes.users(volume.name)):
                size = size_on_disk(volume.mountpoint)
                removals.append(Removal(VOLUME, volume.name, "no container that stays has it", size))
    keys = {snapshot_key(record.id) for record in ended}
    facts = gc.gather(store, options).without([holder(record.id) for record in ended])
    rest = gc.plan(facts, options)
    # The containers' own snapshots go with them, and were counted there.
    others = [removal for removal in rest.removals if removal.target not in keys]
    return rest._replace(removals=(*removals, *others))


def apply(engine: Engine, wanted: Plan, options: Options, *, keep: float = 0, made: float = 0) -> Pruned:
    """Remove what `wanted` names, as far as it is unused still; volumes go to the trash for `keep` seconds.

    `made` is when the plan was made, in seconds since 1970: a volume that has got the same name since is another one.
    """
    removed: list[Removal] = []
    refused: list[str] = []
    trashed: list[str] = []
    for removal in wanted.removals:
        try:
            if removal.kind == CONTAINER:
                engine.remove(removal.target)
            elif removal.kind == VOLUME:
                if engine.volumes.remove(removal.target, keep=keep, made_before=made):
                    trashed.append(removal.target)
                    removal = removal._replace(size=0)
            else:
                continue
        except EstibaError as error:
            refused.append(error.message)
        else:
            removed.append(removal)
    done = gc.apply(engine.store, wanted, options)
    return Pruned(Plan((*removed, *done.removals), done.kept), tuple(refused), tuple(trashed))


def _snapshot_size(engine: Engine, container_id: str) -> int:
    try:
        return engine.store.snapshots.usage(snapshot_key(container_id)).size
    except EstibaError:
        return 0  # it has none any more
