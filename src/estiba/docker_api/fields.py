"""Reading the fields of a request's body, with errors that name them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from estiba.errors import InvalidInput

Fields = Mapping[str, Any]


def object_of(fields: Fields, key: str) -> dict[str, Any]:
    value = fields.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput(f"{key} is no object")
    return value


def text_of(fields: Fields, key: str) -> str:
    value = fields.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInput(f"{key} is no string")
    return value


def number_of(fields: Fields, key: str) -> int:
    value = fields.get(key)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(f"{key} is no whole number")
    return value


def list_of(fields: Fields, key: str) -> tuple[str, ...]:
    value = fields.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidInput(f"{key} is no list of strings")
    return tuple(value)


def words_of(fields: Fields, key: str) -> tuple[str, ...]:
    """A command: a list, or one string."""
    value = fields.get(key)
    return (value,) if isinstance(value, str) else list_of(fields, key)


def pairs_of(fields: Fields, key: str) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), str(value)) for name, value in object_of(fields, key).items())
