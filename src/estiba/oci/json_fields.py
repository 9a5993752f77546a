"""Reading fields out of parsed JSON with errors that say where and what: the one place where shapes are checked."""

from __future__ import annotations

from estiba.errors import Corrupt
from estiba.oci import json_text
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

JsonObject = dict[str, object]


class Malformed(Corrupt):
    """A document is not of the form that its specification demands."""

    def __init__(self, what: str, where: str, problem: str) -> None:
        super().__init__(f"malformed {what}: {where}: {problem}" if where else f"malformed {what}: {problem}")


def parse_object(data: bytes, *, what: str) -> JsonObject:
    """Parse `data`, which must be one JSON object.

    Raises:
        Malformed: no JSON, not UTF-8, a key twice, or something other than an object.
    """
    try:
        value = json_text.scan(data.decode("utf-8", "surrogatepass"), _Strictly())
    except (ValueError, RecursionError) as error:
        raise Malformed(what, "", f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Malformed(what, "", f"expected an object, got {_kind(value)}")
    return value


def _without_duplicates(pairs: list[tuple[str, object]]) -> JsonObject:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ValueError(f"the key {key[:100]!r} stands twice")
        seen.add(key)
    raise AssertionError("unreachable")


class _Strictly(json_text.Context):
    """A key may stand only once in an object; what comes second would be another reader's truth."""

    object_pairs_hook = staticmethod(_without_duplicates)


class Fields:
    """The fields of one JSON object; `what` and `where` go into the errors.

    Every getter gives its default where the field is missing or null, and raises `Malformed` where it has another type.
    """

    __slots__ = ("value", "what", "where")

    def __init__(self, value: Mapping[str, object], *, what: str, where: str = "") -> None:
        self.value = value
        self.what = what
        self.where = where

    def fail(self, key: str, problem: str) -> NoReturn:
        raise Malformed(self.what, f"{self.where}.{key}" if self.where else key, problem)

    def text(self, key: str, default: str | None = None) -> str:
        """A string; without a default the field is required."""
        found = self.value.get(key)
        if found is None:
            if default is None:
                self.fail(key, "required, but missing")
            return default
        if not isinstance(found, str):
            self.fail(key, f"expected a string, got {_kind(found)}")
        return found

    def integer(self, key: str, default: int | None = None) -> int:
        found = self.value.get(key)
        if found is None:
            if default is None:
                self.fail(key, "required, but missing")
            return default
        if isinstance(found, bool) or not isinstance(found, int):
            self.fail(key, f"expected an integer, got {_kind(found)}")
        return found

    def boolean(self, key: str, default: bool = False) -> bool:
        found = self.value.get(key)
        if found is None:
            return default
        if not isinstance(found, bool):
            self.fail(key, f"expected true or false, got {_kind(found)}")
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(self._text_of(key, i, item) for i, item in enumerate(self.items(key)))

    def _text_of(self, key: str, index: int, item: object) -> str:
        if not isinstance(item, str):
            self.fail(f"{key}[{index}]", f"expected a string, got {_kind(item)}")
        return item

    def text_map(self, key: str) -> dict[str, str]:
        found = self.mapping(key)
        for name, item in found.items():
            if not isinstance(item, str):
                self.fail(f"{key}.{name}", f"expected a string, got {_kind(item)}")
        return {name: str(item) for name, item in found.items()}

    def mapping(self, key: str) -> JsonObject:
        found = self.value.get(key)
        if found is None:
            return {}
        if not isinstance(found, dict):
            self.fail(key, f"expected an object, got {_kind(found)}")
        return found

    def items(self, key: str) -> list[object]:
        found = self.value.get(key)
        if found is None:
            return []
        if not isinstance(found, list):
            self.fail(key, f"expected an array, got {_kind(found)}")
        return found

    def fields(self, key: str) -> Fields | None:
        """The object under `key`, None where it is missing."""
        if self.value.get(key) is None:
            return None
        return Fields(self.mapping(key), what=self.what, where=f"{self.where}.{key}" if self.where else key)

    def fields_list(self, key: str) -> list[Fields]:
        found = []
        for index, item in enumerate(self.items(key)):
            where = f"{key}[{index}]"
            if not isinstance(item, dict):
                self.fail(where, f"expected an object, got {_kind(item)}")
            found.append(Fields(item, what=self.what, where=f"{self.where}.{where}" if self.where else where))
        return found


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
