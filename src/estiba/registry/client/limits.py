"""What a registry says of how often it may be asked: `Retry-After` (RFC 9110, 10.2.3) and `RateLimit-*`."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def retry_after(headers: Mapping[str, str], *, now: float) -> float:
    """The seconds to wait; 0 where nothing, or nothing that can be read, is said. `now` in Unix seconds."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - now, 0.0) if text else 0.0
    except (ValueError, TypeError):
        return 0.0


def rate_limit(headers: Mapping[str, str]) -> str:
    """In words, as Docker Hub tells it (``RateLimit-Remaining: 76;w=21600``); "" where nothing is told."""
    remaining, _ = _number(headers.get("RateLimit-Remaining", ""))
    limit, window = _number(headers.get("RateLimit-Limit", ""))
    if remaining is None:
        return ""
    most = f" of {limit}" if limit is not None else ""
    return f"{remaining}{most} pulls left" + (f" in {_period(window)}" if window else "")


def _number(text: str) -> tuple[int | None, int]:
    """A number and its window in seconds, 0 where that is not told."""
    first, *rest = (part.strip() for part in text.split(";"))
    if not first.isascii() or not first.isdigit():
        return None, 0
    windows = [part[2:] for part in rest if part.startswith("w=") and part[2:].isascii() and part[2:].isdigit()]
    return int(first), int(windows[0]) if windows else 0


def _period(seconds: int) -> str:
    return f"{seconds // 3600} h" if seconds >= 3600 else f"{seconds // 60} min" if seconds >= 60 else f"{seconds} s"
