"""Other limits and another restart policy for a container that exists, at once and for every later start."""

from __future__ import annotations

from estiba.engine import lifecycle
from estiba.engine.countable import counts_pids, counts_swap
from estiba.engine.creation import possible
from estiba.engine.options import Limits
from estiba.engine.spec import resources
from estiba.errors import Conflict, InvalidInput
from estiba.runtime.spec import limits_spec
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from estiba.engine.engine import Engine
    from estiba.engine.options import ContainerOptions
    from estiba.engine.records import ContainerRecord
    from estiba.engine.restart_policy import RestartPolicy

_IN_FORCE = frozenset({lifecycle.RUNNING, lifecycle.PAUSED})


class Changes(NamedTuple):
    """What is to be different; what `limits` has at its default stays, and so does a policy that is None."""

    limits: Limits = Limits()
    blkio_weight: int = 0
    restart: RestartPolicy | None = None


def update(engine: Engine, text: str, changes: Changes) -> ContainerRecord:
    """Change the container; where it runs, its control group too.

    Raises:
        NoSuchContainer. InvalidInput: limits that cannot be. Conflict: a policy for a container that removes itself.
        RuntimeFailed: the kernel refused a limit; nothing is changed.
    """
    record = engine.find(text)
    options = changed(record.parsed_options(), changes, name=record.name)
    if record.state in _IN_FORCE and changes._replace(restart=None) != Changes():
        engine.runtime_of(record).update(record.id, _told(options, changes))
    with engine.store.database.transaction():
        # Once more: somebody else may have changed it as well meanwhile.
        current = engine.find(record.id)
        engine.containers.set_options(record.id, changed(current.parsed_options(), changes, name=current.name))
    return record


def changed(options: ContainerOptions, changes: Changes, *, name: str) -> ContainerOptions:
    """The options with the changes, once they are known to be possible.

    Raises:
        InvalidInput, Conflict: as `update`.
    """
    if changes == Changes():
        raise InvalidInput("nothing is to be changed", remedy="Give a limit or a policy: estiba update --help")
    if changes.restart is not None and changes.restart.name != "no" and options.auto_remove:
        raise Conflict(
            f"container {name} removes itself (--rm), so it cannot have a restart policy",
            remedy="Make it without --rm.",
        )
    defaults = Limits()
    given = {field: value for field, value in changes.limits._asdict().items() if value != getattr(defaults, field)}
    limits = options.limits._replace(**given)
    if 0 < limits.memory_swap < limits.memory and "memory_swap" not in given:
        raise InvalidInput(
            f"the memory limit would be above that of memory and swap, which is {limits.memory_swap}",
            remedy="Give --memory-swap as well.",
        )
    options = options._replace(limits=limits, restart=changes.restart or options.restart)
    if changes.blkio_weight:
        options = options._replace(block_io=options.block_io._replace(weight=changes.blkio_weight))
    return options._replace(limits=possible(options))


def _told(options: ContainerOptions, changes: Changes) -> dict[str, Any]:
    """The runtime-spec's resources with the new limits."""
    wanted = resources(options.limits, counts_swap=counts_swap(), counts_pids=counts_pids())
    found = limits_spec(wanted._replace(block_io={"weight": changes.blkio_weight} if changes.blkio_weight else None))
    if options.limits.pids == -1 and counts_pids():
        found["pids"] = {"limit": -1}
    return found
