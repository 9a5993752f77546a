"""Docker's ``--health-*`` → `Health`. Loaded only where one of them is given."""

from __future__ import annotations

from estiba.cli.numbers import integer
from estiba.engine.health import ACTIONS
from estiba.engine.options import Health
from estiba.engine.quantities import parse_duration
from estiba.errors import InvalidInput
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def health(arguments: argparse.Namespace) -> Health:
    """How to see whether the container is well.

    Raises:
        InvalidInput: a value that is none, or ``--no-healthcheck`` beside others.
    """
    found = Health(
        test=("CMD-SHELL", arguments.health_cmd) if arguments.health_cmd else (),
        interval=_nanoseconds(arguments.health_interval, "--health-interval"),
        timeout=_nanoseconds(arguments.health_timeout, "--health-timeout"),
        start_period=_nanoseconds(arguments.health_start_period, "--health-start-period"),
        start_interval=_nanoseconds(arguments.health_start_interval, "--health-start-interval"),
        retries=integer(arguments.health_retries or "0", "--health-retries"),
        on_failure=arguments.health_on_failure or "none",
    )
    if found.on_failure not in ACTIONS:
        raise InvalidInput(
            f"invalid --health-on-failure {found.on_failure!r}", remedy=f"It is one of {', '.join(ACTIONS)}."
        )
    if found.retries < 0:
        raise InvalidInput("--health-retries cannot be negative", remedy="Give a number such as 3.")
    if arguments.no_healthcheck:
        if found != Health():
            raise InvalidInput("--no-healthcheck contradicts --health-*", remedy="Leave it, or them, out.")
        return Health(test=("NONE",))
    return found


def _nanoseconds(text: str | None, flag: str) -> int:
    if not text:
        return 0
    found = round(parse_duration(text, what=f"value for {flag}") * 1e9)
    if 0 < found < 1_000_000:
        raise InvalidInput(f"{flag} {text} is less than a millisecond", remedy="Give such as 30s or 500ms.")
    return found
