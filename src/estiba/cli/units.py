"""Sizes and times as Docker's tools write them."""

from __future__ import annotations

from estiba.engine.status import human_duration as human_duration

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


def local_time(seconds: float) -> str:
    """``2024-05-01 12:00:00 +0200 CEST``, in the machine's time zone."""
    import time

    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(seconds))


def counted(number: int, noun: str) -> str:
    """Such as ``1 image`` and ``2 images``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
