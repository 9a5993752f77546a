"""Values of D-Bus as text, in GVariant's notation: what annotations ``org.systemd.property.NAME`` hold. Pure.

Understood: true and false, integers, floating point, strings in either quotes, arrays, tuples, and the words that
name a type before a value (``uint64 5``, ``@au [1, 2]``).
"""

from __future__ import annotations

import re

from estiba.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Variant = tuple[str, Any]  # signature, value

PREFIX = "org.systemd.property."

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?P<type>@[a-z()]+)|(?P<word>[a-z][a-z0-9]*)"""
    r"""|(?P<number>[-+]?(?:0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9]+))|(?P<mark>[][(),]))"""
)
_WORDS = {
    "byte": "y",
    "int16": "n",
    "uint16": "q",
    "int32": "i",
    "uint32": "u",
    "int64": "x",
    "uint64": "t",
    "double": "d",
    "boolean": "b",
    "string": "s",
    "objectpath": "o",
    "signature": "g",
}
_RANGES = {
    "y": (0, 255),
    "n": (-(1 << 15), (1 << 15) - 1),
    "q": (0, (1 << 16) - 1),
    "i": (-(1 << 31), (1 << 31) - 1),
    "u": (0, (1 << 32) - 1),
    "x": (-(1 << 63), (1 << 63) - 1),
    "t": (0, (1 << 64) - 1),
}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def properties(annotations: Mapping[str, str]) -> list[tuple[str, Variant]]:
    """(name, value) of every annotation that sets a property of the unit.

    A name that ends in ``Sec`` after a lower-case letter takes seconds, as in unit files, for the property of D-Bus
    that ends in ``USec``.

    Raises:
        InvalidInput: a name that no property has, or a value that is none.
    """
    found = []
    for key, text in annotations.items():
        if not key.startswith(PREFIX):
            continue
        name = key.removeprefix(PREFIX)
        if len(name) < 3 or not (name.isascii() and name.isalpha()):
            raise InvalidInput(f"the annotation {key} names no property of systemd's")
        try:
            value = parse(text)
        except InvalidInput as error:
            raise InvalidInput(f"the annotation {key}: {error.message}") from None
        stem = name.removesuffix("Sec")
        if stem != name and stem[-1:].islower():
            name, value = f"{stem}USec", _microseconds(key, value)
        found.append((name, value))
    return found


def parse(text: str) -> Variant:
    """The value that `text` spells.

    Raises:
        InvalidInput: it spells none.
    """
    reader = _Reader(text)
    value = reader.value("")
    reader.finish()
    return value


class _Reader:
    """The tokens of one text, read once from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str]] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            if match is None:
                raise self.wrong()
            kind = match.lastgroup or ""
            self.tokens.append((kind, match[kind]))
            position = match.end()
        self.tokens.reverse()

    def wrong(self) -> InvalidInput:
        return InvalidInput(f"{self.text!r} is no value, such as true, 5, uint64 5, 'text' or ['a', 'b']")

    def finish(self) -> None:
        if self.tokens:
            raise self.wrong()

    def value(self, wanted: str) -> Variant:
        """The next value; `wanted` is the signature that it must have, "" where it may choose."""
        if not self.tokens:
            raise self.wrong()
        kind, token = self.tokens.pop()
        if kind == "type" and not wanted:
            return self.value(token[1:])
        if kind == "word" and token in _WORDS and not wanted:
            return self.value(_WORDS[token])
        if kind == "word" and token in ("true", "false") and wanted in ("", "b"):
            return "b", token == "true"
        if kind == "string" and wanted in ("", "s", "o", "g"):
            return wanted or "s", _unquoted(token)
        if kind == "number":
            return self._number(token, wanted)
        if token == "[" and (not wanted or wanted.startswith("a")):
            return self._array(wanted[1:])
        if token == "(" and (not wanted or wanted.startswith("(")):
            return self._tuple(wanted)
        raise self.wrong()

    def _number(self, token: str, wanted: str) -> Variant:
        is_whole = re.fullmatch(r"[-+]?(0[xX][0-9a-fA-F]+|[0-9]+)", token) is not None
        if wanted == "d" or (not wanted and not is_whole):
            return "d", float(token)
        chosen = wanted or "i"
        if not is_whole or chosen not in _RANGES:
            raise self.wrong()
        number = int(token, 16 if "x" in token.lower() else 10)
        least, most = _RANGES[chosen]
        if not least <= number <= most:
            raise InvalidInput(f"{token} is not between {least} and {most}")
        return chosen, number

    def _array(self, element: str) -> Variant:
        items: list[Any] = []
        while self._more("]", is_first=not items):
            signature, item = self.value(element)
            if element and signature != element:
                raise self.wrong()
            element = signature
            items.append(item)
        if not element:
            raise InvalidInput("an empty array needs its type, such as @as []")
        return "a" + element, items

    def _tuple(self, wanted: str) -> Variant:
        signatures = ""
        items: list[Any] = []
        members = split_signature(wanted[1:-1]) if wanted else []
        while self._more(")", is_first=not items):
            if wanted and len(items) == len(members):
                raise self.wrong()
            signature, item = self.value(members[len(items)] if wanted else "")
            signatures += signature
            items.append(item)
        if not items or (wanted and f"({signatures})" != wanted):
            raise self.wrong()
        return f"({signatures})", tuple(items)

    def _more(self, closing: str, *, is_first: bool) -> bool:
        if not self.tokens:
            raise self.wrong()
        if self.tokens[-1] == ("mark", closing):
            self.tokens.pop()
            return False
        if not is_first and self.tokens.pop() != ("mark", ","):
            raise self.wrong()
        if not is_first and self.tokens and self.tokens[-1] == ("mark", closing):  # (1,) is how one of one is written
            self.tokens.pop()
            return False
        return True


def split_signature(signature: str) -> list[str]:
    """``sa(sv)u`` -> ``s``, ``a(sv)``, ``u``."""
    found, depth, start = [], 0, 0
    for position, letter in enumerate(signature):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and letter != "a":
            found.append(signature[start : position + 1])
            start = position + 1
    return found


def _unquoted(token: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), token[1:-1], flags=re.DOTALL)


def _microseconds(key: str, value: Variant) -> Variant:
    signature, number = value
    if signature not in ("d", *_RANGES) or number < 0:
        raise InvalidInput(f"the annotation {key} takes a number of seconds, not {number!r}")
    return "t", min(int(number * 1_000_000), (1 << 64) - 1)
