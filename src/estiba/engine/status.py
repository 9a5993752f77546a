"""How a container is, in Docker's words."""

from __future__ import annotations

from estiba.engine import lifecycle
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.records import ContainerRecord


def shown_state(record: ContainerRecord) -> str:
    """The state in Docker's words."""
    return lifecycle.CREATED if record.state == lifecycle.STARTING else record.state


def status(record: ContainerRecord, *, now: float, health: str = "") -> str:
    """``Up 3 minutes``, ``Up 3 minutes (healthy)``, ``Exited (0) 2 hours ago``, ``Created``."""
    if record.state == lifecycle.RUNNING:
        shown = f" ({'health: ' if health == 'starting' else ''}{health})" if health else ""
        return f"Up {human_duration(now - record.started)}{shown}"
    if record.state == lifecycle.PAUSED:
        return f"Up {human_duration(now - record.started)} (Paused)"
    ended = f"({record.exit_code}) {human_duration(now - record.finished)} ago"
    if record.state == lifecycle.RESTARTING:
        return f"Restarting {ended}"
    if record.state == lifecycle.EXITED:
        return f"Exited {ended}"
    return {lifecycle.REMOVING: "Removal In Progress", lifecycle.DEAD: "Dead"}.get(record.state, "Created")


def human_duration(seconds: float) -> str:
    """How long, roughly: ``5 minutes``, ``About an hour``, ``3 weeks``."""
    whole = int(seconds)
    minutes = whole // 60
    hours = int(seconds / 3600 + 0.5)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    if hours == 1:
        return "About an hour"
    for limit, hours_each, name in (
        (48, 1, "hours"),
        (24 * 14, 24, "days"),
        (24 * 60, 168, "weeks"),
        (17520, 720, "months"),
    ):
        if hours < limit:
            return f"{hours // hours_each} {name}"
    return f"{hours // 8760} years"
