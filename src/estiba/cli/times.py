"""Times as people give them on a command line: a moment, or how long ago."""

from __future__ import annotations

import re

from estiba.engine.quantities import parse_duration
from estiba.errors import InvalidInput

_UNIX = re.compile(r"(\d{9,})(?:\.(\d{1,9}))?")


def moment(text: str, *, now: float) -> str:
    """RFC 3339 in UTC with nanoseconds, of a time like that, of Unix seconds, or of a span before `now`; "" stays.

    Raises:
        InvalidInput: it is no time.
    """
    if not text:
        return ""
    if match := _UNIX.fullmatch(text):
        return _format(int(match[1]), (match[2] or "").ljust(9, "0"))
    if "-" not in text:
        seconds = now - parse_duration(text)
        return _format(int(seconds), f"{int(seconds % 1 * 1e9):09d}")
    from datetime import datetime

    main, _, fraction = text.partition(".")
    digits = re.match(r"\d*", fraction)
    nanoseconds = (digits[0] if digits else "")[:9].ljust(9, "0")
    zone = fraction[digits.end() :] if digits else ""
    try:
        parsed = datetime.fromisoformat(main + zone)
    except ValueError:
        raise InvalidInput(f"invalid time {text!r}", remedy="Write 2026-01-02T03:04:05Z, or 10m for a span.") from None
    return _format(int(parsed.timestamp()), nanoseconds)


def _format(seconds: int, nanoseconds: str) -> str:
    import time

    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds}Z"
