"""Durations as Docker writes them: ``30s``, ``1m30s``, ``1.5h``, ``500ms``."""

from __future__ import annotations

import re

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"([0-9]{1,12})?(?:\.([0-9]{0,9}))?(ns|us|µs|μs|ms|s|m|h)")
_LARGEST = 2**63 - 1


class BadDuration(ValueError):
    """The text is no duration."""


def nanoseconds(text: str) -> int:
    """Raises:
    BadDuration: another form, negative, or over 292 years.
    """
    if text == "0":
        return 0
    total, position = 0, 0
    while match := _PART.match(text, position):
        whole, part, unit = match.groups()
        if not whole and not part:
            break
        total += int(whole or 0) * _UNITS[unit] + int((part or "0").ljust(9, "0")) * _UNITS[unit] // 10**9
        position = match.end()
    if not text or position != len(text) or total > _LARGEST:
        raise BadDuration(f"expected a duration such as 30s or 1m30s, not {text!r}")
    return total
