"""Sizes and times as Docker's tools write them."""

from __future__ import annotations

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def human_size(size: float, *, digits: int = 3) -> str:
    """Bytes with `digits` significant digits and a decimal unit: ``1.23MB``, ``0B``."""
    value = float(size)
    unit = 0
    while value >= 1000 and unit < len(_DECIMAL) - 1:
        value /= 1000
        unit += 1
    text = f"{value:.{digits}g}"
    if "e" in text:  # 999.9 at three digits: Docker writes 1e+03MB
        text = f"{value:.0f}"
    return text + _DECIMAL[unit]


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


def local_time(seconds: float) -> str:
    """``2024-05-01 12:00:00 +0200 CEST``, in the machine's time zone."""
    import time

    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(seconds))
