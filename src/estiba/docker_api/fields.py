"""Reading the fields of a request's body, with errors that name them. Pure.

As with Docker, a field that is missing and one that is null are the same: nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from estiba.errors import InvalidInput

Fields = Mapping[str, Any]

_MOST = 1 << 63


def object_of(fields: Fields, key: str) -> dict[str, Any]:
    value = fields.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput(f"{key} is no object")
    return value


def objects_of(fields: Fields, key: str) -> list[dict[str, Any]]:
    """A list of objects."""
    value = fields.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InvalidInput(f"{key} is no list of objects")
    return value


def object_in(fields: Fields, key: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    """An object of objects, as pairs."""
    return tuple((name, object_of(value, name)) for value in [object_of(fields, key)] for name in value)


def text_of(fields: Fields, key: str) -> str:
    value = fields.get(key)
    return "" if value is None else _text(value, key, "no string")


def number_of(fields: Fields, key: str) -> int:
    value = optional_number_of(fields, key)
    return 0 if value is None else value


def optional_number_of(fields: Fields, key: str) -> int | None:
    """None where there is none."""
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(f"{key} is no whole number")
    if not -_MOST <= value < _MOST:
        raise InvalidInput(f"{key} is too large a number")
    return value


def flag_of(fields: Fields, key: str) -> bool:
    value = fields.get(key)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidInput(f"{key} is neither true nor false")
    return value


def list_of(fields: Fields, key: str) -> tuple[str, ...]:
    value = fields.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidInput(f"{key} is no list of strings")
    return tuple(_text(item, key, "no list of strings") for item in value)


def words_of(fields: Fields, key: str) -> tuple[str, ...]:
    """A command: a list, or one string."""
    return (text_of(fields, key),) if isinstance(fields.get(key), str) else list_of(fields, key)


def pairs_of(fields: Fields, key: str) -> tuple[tuple[str, str], ...]:
    """An object of strings."""
    found = object_of(fields, key).items()
    return tuple(
        (_text(name, key, ""), "" if value is None else _text(value, f"{key}.{name[:80]}", "no string"))
        for name, value in found
    )


def _text(value: object, key: str, fault: str) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{key} is {fault}")
    if "\0" in value:
        raise InvalidInput(f"{key} has a NUL in it")
    return value
