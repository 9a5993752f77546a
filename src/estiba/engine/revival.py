"""Which containers run again when a machine, or its daemon, has been started again: by Docker's rules. Pure."""

from __future__ import annotations

from estiba.engine import lifecycle
from estiba.engine.recovery import REBOOTED
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from estiba.engine.records import ContainerRecord


def to_revive(records: Iterable[ContainerRecord]) -> list[ContainerRecord]:
    """Those that have ended and that their restart policy wants to run, the oldest first.

    ``always`` is meant also where somebody has stopped the container; ``unless-stopped`` not there; ``on-failure`` only
    where it was the machine that failed.
    """
    return sorted((record for record in records if _is_wanted(record)), key=lambda record: record.created)


def _is_wanted(record: ContainerRecord) -> bool:
    if record.state != lifecycle.EXITED or not record.started:
        return False
    policy = record.parsed_options().restart.name
    if policy == "unless-stopped":
        return not record.stop_wanted
    if policy == "on-failure":
        return record.exit_code == REBOOTED and not record.stop_wanted
    return policy == "always"
