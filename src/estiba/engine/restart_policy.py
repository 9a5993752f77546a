"""Whether and when a container that has ended starts again. Pure."""

from __future__ import annotations

from estiba.engine.quantities import is_number
from estiba.errors import InvalidInput
from estiba.values import NamedTuple

NAMES = ("no", "on-failure", "always", "unless-stopped")
STOP_TIMEOUT = 10
"""Seconds between the signal that asks a container to end and SIGKILL, where nothing else was said."""
FIRST_DELAY = 0.1
LONGEST_DELAY = 60.0
STEADY = 10.0
"""After so many seconds of life a start counts as good, and the next delay is the first again (as in Docker)."""


class RestartPolicy(NamedTuple):
    """`maximum` restarts are tried after failures; 0 is no limit."""

    name: str = "no"
    maximum: int = 0

    @classmethod
    def parse(cls, text: str) -> RestartPolicy:
        """``no``, ``on-failure``, ``on-failure:5``, ``always`` or ``unless-stopped``.

        Raises:
            InvalidInput: another word, or a limit that has no meaning.
        """
        name, colon, count = text.partition(":")
        name = name or "no"
        if name not in NAMES:
            raise InvalidInput(f"invalid restart policy {text!r}", remedy=f"Choose one of {', '.join(NAMES)}.")
        if not colon:
            return cls(name)
        if name != "on-failure" or not is_number(count):
            raise InvalidInput(
                f"invalid restart policy {text!r}", remedy="Only on-failure takes a limit: on-failure:5."
            )
        return cls(name, int(count))


class Ended(NamedTuple):
    """How a container ended: its exit code, how many seconds it lived, and whether a person stopped it."""

    exit_code: int
    lived: float
    was_stopped: bool


class Decision(NamedTuple):
    """`delay` seconds until the next start, None for no start; `reason` says why."""

    delay: float | None
    reason: str


def decide(policy: RestartPolicy, ended: Ended, *, restarts: int, last_delay: float) -> Decision:
    """What comes after `restarts` restarts, the last of which waited `last_delay` seconds (0: none yet)."""
    if ended.was_stopped:
        return Decision(None, "it was stopped")
    if policy.name == "no":
        return Decision(None, "its restart policy is no")
    if policy.name == "on-failure":
        if ended.exit_code == 0:
            return Decision(None, "it ended well")
        if policy.maximum and restarts >= policy.maximum:
            return Decision(None, f"it failed after {restarts} restarts, the limit")
    delay = FIRST_DELAY if ended.lived >= STEADY or not last_delay else min(last_delay * 2, LONGEST_DELAY)
    return Decision(delay, f"its restart policy is {policy.name}")
