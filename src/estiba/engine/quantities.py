"""Sizes, times and CPU shares as people write them on a command line. Pure."""

from __future__ import annotations

import re

from estiba.errors import InvalidInput

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_size(text: str, *, what: str = "size") -> int:
    """Bytes of ``512``, ``64k``, ``512m``, ``1.5g`` or ``2GiB``; units are powers of 1024, as in Docker.

    Raises:
        InvalidInput: it is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(f"invalid {what} {text!r}", remedy="Give a number and a unit: 512m, 2g.")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def parse_cpus(text: str) -> int:
    """Billionths of a CPU of ``1.5``.

    Raises:
        InvalidInput: it is no positive number.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e6:
        raise InvalidInput(f"invalid number of CPUs {text!r}", remedy="Give a positive number such as 0.5 or 2.")
    return round(value * 1e9)


def parse_duration(text: str, *, what: str = "time") -> float:
    """Seconds of ``90``, ``1m30s`` or ``1.5h``.

    Raises:
        InvalidInput: it is no time.
    """
    text = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise InvalidInput(f"invalid {what} {text!r}", remedy="Give seconds, or 1m30s, 2h.")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def human_size(size: float) -> str:
    """``1.5MB``: units are powers of 1000, as Docker prints them."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:.3g}{unit}"
        size /= 1000
    raise AssertionError("unreachable")


_SPANS = (
    (1, "Less than a second"),
    (2, "1 second"),
    (60, "{seconds} seconds"),
    (120, "About a minute"),
    (3600, "{minutes} minutes"),
    (5400, "About an hour"),
    (48 * 3600, "{hours} hours"),
    (14 * 86400, "{days} days"),
    (60 * 86400, "{weeks} weeks"),
    (730 * 86400, "{months} months"),
)


def human_time(seconds: float) -> str:
    """How long `seconds` are, in Docker's words: ``About a minute``, ``3 hours``."""
    seconds = max(0.0, seconds)
    words = next((words for limit, words in _SPANS if seconds < limit), "{years} years")
    return words.format(
        seconds=int(seconds),
        minutes=int(seconds // 60),
        hours=round(seconds / 3600),
        days=int(seconds // 86400),
        weeks=int(seconds // (7 * 86400)),
        months=int(seconds // (30 * 86400)),
        years=int(seconds // (365 * 86400)),
    )
