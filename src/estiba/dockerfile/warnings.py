"""Warnings: what is allowed but probably not meant. The names are those of Docker's build checks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Warning(NamedTuple):  # noqa: A001 - the word of the field
    """`rule` names the check, such as ``StageNameCasing``; `line` counts from 1."""

    rule: str
    message: str
    line: int


class CheckOptions(NamedTuple):
    """What the directive ``# check=skip=RULE,RULE;error=true`` asks for; "all" skips every rule."""

    skipped: frozenset[str] = frozenset()
    are_errors: bool = False

    @classmethod
    def parse(cls, text: str) -> CheckOptions:
        """Read the directive's value; options that it does not know change nothing."""
        skipped: frozenset[str] = frozenset()
        are_errors = False
        for option in text.split(";"):
            name, _, value = option.partition("=")
            if name.strip().lower() == "skip":
                skipped = frozenset(rule.strip().lower() for rule in value.split(","))
            elif name.strip().lower() == "error":
                are_errors = value.strip().lower() in ("true", "1")
        return cls(skipped, are_errors)

    def kept(self, warnings: Iterable[Warning]) -> tuple[Warning, ...]:
        """The warnings that are not skipped, each once, in the order of the file."""
        if "all" in self.skipped:
            return ()
        kept = [warning for warning in dict.fromkeys(warnings) if warning.rule.lower() not in self.skipped]
        return tuple(sorted(kept, key=lambda warning: warning.line))
