"""Whether a container is well, as Docker counts it. Pure."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from estiba.engine.options import Health

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
ACTIONS = ("none", "restart", "stop", "kill")
MOST_OUTPUT = 4096
_KEPT = 5
_CUT = b"..."
_LEAST, _MOST = 10**6, 20 * 86400 * 10**9  # a millisecond, as in Docker; as long as poll(2) waits at once


class Timing(NamedTuple):
    """When to look, in seconds, and how often it may fail."""

    interval: float = 30.0
    timeout: float = 30.0
    start_period: float = 0.0
    start_interval: float = 5.0
    retries: int = 3

    @classmethod
    def of(cls, health: Health) -> Timing:
        """Those that are asked for, within what makes sense (an image may say anything); Docker's defaults for the
        others."""
        default = cls()
        return cls(
            _seconds(health.interval) or default.interval,
            _seconds(health.timeout) or default.timeout,
            _seconds(health.start_period),
            _seconds(health.start_interval) or default.start_interval,
            max(0, health.retries) or default.retries,
        )


def _seconds(nanoseconds: int) -> float:
    return min(max(_LEAST, nanoseconds), _MOST) / 1e9 if nanoseconds > 0 else 0.0


class Result(NamedTuple):
    """One probe; times are seconds since 1970."""

    start: float
    end: float
    exit_code: int
    output: str


class State(NamedTuple):
    """What the probes of one start have found; the last of them in `log`."""

    status: str = STARTING
    streak: int = 0
    log: tuple[Result, ...] = ()

    def after(self, result: Result, timing: Timing, *, started: float) -> State:
        """The state with one more result. In the start period of a container that was never well no failure counts."""
        log = (*self.log, result)[-_KEPT:]
        if result.exit_code == 0:
            return State(HEALTHY, 0, log)
        if self.status == STARTING and result.start - started < timing.start_period:
            return self._replace(log=log)
        streak = self.streak + 1
        return State(UNHEALTHY if streak >= timing.retries else self.status, streak, log)

    def wait(self, timing: Timing, *, lived: float) -> float:
        """Seconds until the next probe begins."""
        is_early = self.status == STARTING and lived < timing.start_period
        return timing.start_interval if is_early else timing.interval

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"status": self.status, "streak": self.streak, "log": self.log}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> State:
        """What `to_json` gave."""
        return cls(value["status"], value["streak"], tuple(Result(*one) for one in value["log"]))


def command(health: Health) -> tuple[str, ...]:
    """The probe; () where there is none."""
    kind, *words = health.test or ("NONE",)
    if kind == "CMD":
        return tuple(words)
    if kind == "CMD-SHELL" and words:
        return (*(health.shell or ("/bin/sh", "-c")), *words)
    return ()


def text_of(output: bytes) -> str:
    """What is kept of a probe's output: its first 4096 bytes, and a sign where there was more."""
    if len(output) > MOST_OUTPUT:
        output = output[:MOST_OUTPUT] + _CUT
    return output.decode(errors="replace")


def overdue(timeout: float, output: bytes) -> str:
    """What is told of a probe that took too long."""
    said = f"Health check exceeded timeout ({_duration(timeout)})"
    return f"{said}: {text_of(output)}" if output else said


def _duration(seconds: float) -> str:
    """As Go writes one: ``200ms``, ``1.5s``, ``1m30s``, ``1h0m0s``."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest:g}s"
