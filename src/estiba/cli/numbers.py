"""Whole numbers of a command line."""

from __future__ import annotations

from estiba.errors import InvalidInput


def integer(text: str, flag: str) -> int:
    """The number that `text` is.

    Raises:
        InvalidInput: it is none; the message names `flag`.
    """
    try:
        return int(text)
    except ValueError:
        raise InvalidInput(f"invalid value {text!r} for {flag}", remedy="Give a number.") from None
