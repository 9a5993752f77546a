"""Prune: what has ended, what only that needed, and what nothing needs, as one plan; then just that plan."""

from __future__ import annotations

from estiba.engine.lifecycle import CREATED, DEAD, EXITED
from estiba.engine.removal import holder, size_of_files, snapshot_key
from estiba.errors import EstibaError
from estiba.store import gc
from estiba.store.gc import Options, Plan, Removal
from estiba.store.scratch import size_on_disk
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from estiba.engine.engine import Engine
    from estiba.engine.records import ContainerRecord
    from estiba.engine.volumes import Volume

CONTAINER = "container"
VOLUME = "volume"


class Pruned(NamedTuple):
    """`removed` is what went; `refused` says of what else why it stays; the volumes in `trashed` can be taken back, and
    free nothing yet.
    """

    removed: Plan
    refused: tuple[str, ...]
    trashed: tuple[str, ...] = ()


def ended(engine: Engine) -> list[ContainerRecord]:
    """The containers that do not run."""
    return [record for record in engine.all() if record.state in (CREATED, EXITED, DEAD)]


def of_containers(engine: Engine, records: Iterable[ContainerRecord]) -> list[Removal]:
    """What it is to remove these, with the bytes of their files and logs."""
    return [
        Removal(
            CONTAINER,
            record.id,
            f"{record.name} does not run",
            size_on_disk(engine.paths(record.id).directory) + size_of_files(engine.store, record.id),
        )
        for record in records
    ]


def of_volumes(volumes: Iterable[Volume]) -> list[Removal]:
    """What it is to remove these, with the bytes of their files."""
    reason = "no container that stays has it"
    return [Removal(VOLUME, volume.name, reason, size_on_disk(volume.mountpoint)) for volume in volumes]


def plan(engine: Engine, options: Options, *, volumes: bool = False) -> Plan:
    """What would go: containers that do not run, with `volumes` the anonymous volumes that only they have, and what
    `store.gc` then finds without a user.
    """
    records = ended(engine)
    removals = of_containers(engine, records)
    if volumes:
        names = {record.name for record in records}
        anonymous = [volume for volume in engine.volumes.all() if volume.is_anonymous]
        removals += of_volumes(one for one in anonymous if names.issuperset(engine.volumes.users(one.name)))
    keys = {snapshot_key(record.id) for record in records}
    facts = gc.gather(engine.store, options).without([holder(record.id) for record in records])
    rest = gc.plan(facts, options)
    # The containers' own snapshots go with them, and were counted there.
    others = [removal for removal in rest.removals if removal.target not in keys]
    return rest._replace(removals=(*removals, *others))


def apply(engine: Engine, wanted: Plan, options: Options, *, keep: float | None = None, made: float = 0) -> Pruned:
    """Remove what `wanted` names, as far as it is unused still; the rest as `remove`."""
    mine = remove(engine, wanted.removals, keep=keep, made=made)
    done = gc.apply(engine.store, wanted, options)
    return mine._replace(removed=Plan((*mine.removed.removals, *done.removals), done.kept))


def remove(engine: Engine, removals: Iterable[Removal], *, keep: float | None = None, made: float = 0) -> Pruned:
    """Remove the containers and volumes of `removals` that may go still: what somebody has just taken stays.

    Volumes lie in the trash for `keep` seconds (None: as long as is usual here).

    `made` is when the plan was made, in seconds since 1970: a volume that has got the same name since is another one.
    """
    removed: list[Removal] = []
    refused: list[str] = []
    trashed: list[str] = []
    for removal in removals:
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
    return Pruned(Plan(tuple(removed)), tuple(refused), tuple(trashed))
