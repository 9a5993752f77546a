"""Sizes, times and CPU shares as people write them on a command line. Pure."""

from __future__ import annotations

from estiba.errors import InvalidInput

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_TOO_MUCH = 1 << 63
_MOST_DIGITS = 18
_SIZE = r"(?i)(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?"
_DURATION = r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)"
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_size(text: str, *, what: str = "size") -> int:
    """Bytes of ``512``, ``64k``, ``512m``, ``1.5g`` or ``2GiB``; units are powers of 1024, as in Docker.

    Raises:
        InvalidInput: it is no size.
    """
    import re  # here, for most commands need none

    match = re.fullmatch(_SIZE, text.strip())
    if match is None:
        raise InvalidInput(f"invalid {what} {text[:40]!r}", remedy="Give a number and a unit: 512m, 2g.")
    size = float(match[1]) * _UNITS[match[2].lower()]
    if size >= _TOO_MUCH:
        raise InvalidInput(
            f"invalid {what} {text[:40]!r}: it is too much", remedy="Give a number and a unit: 512m, 2g."
        )
    return int(size)


def is_number(text: str) -> bool:
    """Whether it is a whole number of the digits 0-9, and no longer than any that is meant."""
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


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
    import re  # as above

    text = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.findall(_DURATION, text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise InvalidInput(f"invalid {what} {text!r}", remedy="Give seconds, or 1m30s, 2h.")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
