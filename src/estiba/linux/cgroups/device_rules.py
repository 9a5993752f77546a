"""What rules for devices come to once all of them are read: a list of what is allowed, where they can be said so. Pure.

Rules count in their order (runtime-spec, config-linux.md, "Allowed Device list"); nothing is allowed at the beginning.
"""

from __future__ import annotations

from estiba.linux.cgroups.v1 import DEFAULT_DEVICES, device_rule
from estiba.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

ANY = "*"


class Allowed(NamedTuple):
    """`everything`, or else `entries`: (kind, major, minor) -> accesses, where a number may be ``*``."""

    everything: bool
    entries: dict[tuple[str, str, str], str]

    def texts(self) -> list[str]:
        """As the kernel writes them: ``c 1:3 rwm``."""
        return [f"{kind} {major}:{minor} {access}" for (kind, major, minor), access in self.entries.items()]


def allowed(rules: Iterable[Mapping[str, Any]], *, more: Iterable[str] = DEFAULT_DEVICES) -> Allowed | None:
    """What `rules` allow, and `more` besides; None where that is everything but something, which no list can say."""
    everything = is_mixed = False
    entries: dict[tuple[str, str, str], str] = {}
    for rule in rules:
        kind, numbers, access = device_rule(rule).split()
        major, _, minor = numbers.partition(":")
        if kind == "a" and numbers == "*:*" and set(access) == set("rwm"):
            everything, is_mixed, entries = bool(rule["allow"]), False, {}
            continue
        for each in "bc" if kind == "a" else kind:
            key = (each, major, minor)
            if everything:
                is_mixed = is_mixed or not rule["allow"]
            elif rule["allow"]:
                entries[key] = _joined(entries.get(key, ""), access)
            else:
                is_mixed = not _deny(entries, key, access) or is_mixed
    if is_mixed:
        return None
    if everything:
        return Allowed(True, {})
    for text in more:
        kind, numbers, access = text.split()
        major, _, minor = numbers.partition(":")
        entries[kind, major, minor] = _joined(entries.get((kind, major, minor), ""), access)
    return Allowed(False, entries)


def parse_list(text: str) -> Allowed:
    """The kernel's own list, as version 1 gives it in devices.list."""
    entries: dict[tuple[str, str, str], str] = {}
    for line in text.splitlines():
        kind, numbers, access = line.split()
        if kind == "a":
            return Allowed(True, {})
        major, _, minor = numbers.partition(":")
        entries[kind, major, minor] = access
    return Allowed(False, entries)


def steps(current: str, rules: Iterable[Mapping[str, Any]]) -> list[tuple[bool, str]] | None:
    """(allow, text) of each change that leads from the kernel's list `current` to what `rules` say: first what is more,
    then what is less. None where there is no way but through "everything"."""
    wanted, before = allowed(rules), parse_list(current)
    if wanted is None or wanted.everything or before.everything:
        return None
    steps = []
    for left, right, is_allowed in ((wanted, before, True), (before, wanted, False)):
        for key, access in left.entries.items():
            lacking = "".join(letter for letter in access if letter not in right.entries.get(key, ""))
            if lacking:
                steps.append((is_allowed, f"{key[0]} {key[1]}:{key[2]} {lacking}"))
    return steps


def _deny(entries: dict[tuple[str, str, str], str], key: tuple[str, str, str], access: str) -> bool:
    """Take `access` from every entry that `key` covers; False where it is a hole in one that stays."""
    for entry, given in list(entries.items()):
        lost = set(given) & set(access)
        if not lost or entry[0] != key[0] or not all(_meet(a, b) for a, b in zip(entry[1:], key[1:], strict=True)):
            continue
        if any(mine == ANY and its != ANY for mine, its in zip(entry[1:], key[1:], strict=True)):
            return False
        left = "".join(letter for letter in given if letter not in lost)
        if left:
            entries[entry] = left
        else:
            del entries[entry]
    return True


def _meet(one: str, other: str) -> bool:
    return ANY in (one, other) or one == other


def _joined(one: str, other: str) -> str:
    return "".join(letter for letter in "rwm" if letter in one or letter in other)
