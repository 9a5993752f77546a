"""Flags of instructions: ``--name=value`` before the arguments."""

from __future__ import annotations

from collections.abc import Mapping

from estiba.dockerfile.errors import near
from estiba.dockerfile.lexer import Statement
from estiba.values import NamedTuple


class Flag(NamedTuple):
    """One flag as it stands; `value` is None where there is no ``=``."""

    name: str
    value: str | None
    offset: int
    width: int


class Flags(NamedTuple):
    """The flags of a statement by name, in order; and where its other arguments begin."""

    statement: Statement
    values: Mapping[str, tuple[Flag, ...]]
    end: int

    def text(self, name: str, default: str = "") -> str:
        flags = self.values.get(name)
        return (flags[0].value or "") if flags else default

    def is_on(self, name: str) -> bool:
        return self.switch(name) is True

    def switch(self, name: str) -> bool | None:
        """A switch is on where it stands alone; None where it does not stand."""
        flags = self.values.get(name)
        return None if not flags else (flags[0].value or "true").lower() == "true"

    def all(self, name: str) -> tuple[Flag, ...]:
        return self.values.get(name, ())


# What a flag takes.
TEXT = "text"
SWITCH = "switch"
MANY = "many"


def read_flags(statement: Statement, known: Mapping[str, str]) -> Flags:
    """Read the flags that a statement's arguments begin with; `known` gives each name what it takes.

    Raises:
        DockerfileError: an unknown flag, one twice, a value missing or too many.
    """
    found: dict[str, list[Flag]] = {}
    position = statement.start
    text = statement.text
    while text.startswith("--", position):
        flag, position = _one(text, position)
        while text[position : position + 1].isspace():
            position += 1
        if flag.name == "" and flag.value is None:
            break
        _check(statement, flag, known, found)
        found.setdefault(flag.name, []).append(flag)
    return Flags(statement, {name: tuple(flags) for name, flags in found.items()}, position)


def _one(text: str, begin: int) -> tuple[Flag, int]:
    """The flag at `begin`, its quotes removed, and where it ends."""
    parts: list[str] = []
    quote, position = "", begin + 2
    while position < len(text):
        char = text[position]
        if char == "\\" and quote != "'" and position + 1 < len(text):
            position += 1
            parts.append(text[position])
        elif quote:
            if char == quote:
                quote = ""
            else:
                parts.append(char)
        elif char in "'\"":
            quote = char
        elif char.isspace():
            break
        else:
            parts.append(char)
        position += 1
    name, equals, value = "".join(parts).partition("=")
    return Flag(name, value if equals else None, begin, position - begin), position


def _check(statement: Statement, flag: Flag, known: Mapping[str, str], found: Mapping[str, list[Flag]]) -> None:
    keyword = statement.keyword.upper()
    takes = known.get(flag.name)
    if takes is None:
        allowed = ", ".join(f"--{name}" for name in sorted(known))
        remedy = near(f"--{flag.name}", [f"--{name}" for name in known]) or (
            f"{keyword} knows {allowed}." if known else f"{keyword} takes no flags."
        )
        raise statement.error_at(
            flag.offset, f"unknown flag --{flag.name} of {keyword}", width=flag.width, remedy=remedy
        )
    if flag.name in found and takes != MANY:
        raise statement.error_at(flag.offset, f"--{flag.name} stands twice", width=flag.width)
    if takes == SWITCH:
        if flag.value is not None and flag.value.lower() not in ("true", "false"):
            raise statement.error_at(
                flag.offset, f"--{flag.name} is true or false, not {flag.value!r}", width=flag.width
            )
    elif flag.value is None:
        raise statement.error_at(
            flag.offset, f"--{flag.name} needs a value", width=flag.width, remedy=f"Write --{flag.name}=VALUE."
        )
