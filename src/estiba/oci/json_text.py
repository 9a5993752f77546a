"""JSON by the interpreter's own C parts alone: the json package would load regular expressions, 6 ms of every start."""

from __future__ import annotations

from _json import encode_basestring, encode_basestring_ascii, make_scanner

from estiba.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Context:
    """How to read: what the C scanner asks for (json.JSONDecoder's attributes)."""

    strict = True
    object_hook = None
    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None
    parse_float = float
    parse_int = int
    memo: dict[str, str] = {}

    @staticmethod
    def parse_constant(name: str) -> float:
        raise ValueError(f"{name} is no value of JSON")


def loads(text: str, *, what: str) -> Any:
    """The value of a JSON document; `what` is its name in the error.

    Raises:
        InvalidInput: it is not JSON.
    """
    try:
        return scan(text, Context())
    except ValueError as error:
        raise InvalidInput(f"{what} is not JSON: {error}") from None
    except RecursionError:
        raise InvalidInput(f"{what} is JSON that is nested too deeply") from None


def scan(text: str, context: Context) -> Any:
    """The value of a JSON document, read in the way of `context`.

    Raises:
        ValueError: it is not JSON. RecursionError: it is nested too deeply.
    """
    stripped = text.strip(" \t\r\n")
    try:
        value, end = make_scanner(context)(stripped, 0)  # type: ignore[arg-type]
    except StopIteration as stop:
        raise ValueError(f"no value at character {stop.value}") from None
    if end != len(stripped):
        raise ValueError(f"something follows after character {end}")
    return value


def load(path: str) -> Any:
    """The value of the JSON file at `path`.

    Raises:
        OSError: it cannot be read.
        InvalidInput: it is not JSON.
    """
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return loads(file.read(), what=path)


def dumps(value: object, *, indent: int = 0, ascii: bool = True) -> str:
    """The JSON text of plain data, keys in their order; `indent` is how far deeper lines are set in, 0 for one line.

    Without `ascii` letters of other scripts stay as they are.
    """
    pieces: list[str] = []
    _write(value, pieces, "\n" if indent else "", " " * indent, encode_basestring_ascii if ascii else encode_basestring)
    return "".join(pieces)


def _write(value: object, pieces: list[str], newline: str, step: str, quote: Callable[[str], str]) -> None:
    if value is None or value is True or value is False:
        pieces.append("null" if value is None else "true" if value else "false")
    elif isinstance(value, str):
        pieces.append(quote(value))
    elif isinstance(value, int):
        pieces.append(int.__repr__(value))
    elif isinstance(value, float):
        pieces.append(float.__repr__(value))
    elif isinstance(value, dict):
        _write_all(value.items(), "{", "}", pieces, newline, step, quote)
    elif isinstance(value, (list, tuple)):
        _write_all(value, "[", "]", pieces, newline, step, quote)
    else:
        raise TypeError(f"{type(value).__name__} cannot be JSON")


def _write_all(
    items: Any, opening: str, closing: str, pieces: list[str], newline: str, step: str, quote: Callable[[str], str]
) -> None:
    deeper = newline + step if newline else ""
    pieces.append(opening)
    is_first = True
    for item in items:
        if not is_first:
            pieces.append(",")
        is_first = False
        pieces.append(deeper)
        if opening == "{":
            pieces.append(quote(item[0]) + (": " if newline else ":"))
            item = item[1]
        _write(item, pieces, deeper, step, quote)
    pieces.append(closing if is_first else newline + closing)
