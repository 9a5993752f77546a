"""`.dockerignore`, as moby reads and matches it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from estiba.builder.context.globs import ignore_expression, literal_prefix
from estiba.errors import InvalidInput
from estiba.values import NamedTuple


class Rule(NamedTuple):
    """One line: a cleaned pattern, and whether it takes back what earlier lines ignore (``!``). Lines count from 1."""

    pattern: str
    keeps: bool
    line: int


class IgnoreRules:
    """Decides which paths are left out. The last rule that matches a path, or a directory above it, wins."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.rules = tuple(rules)
        self._groups = _groups(self.rules)
        self._keepers = [literal_prefix(rule.pattern) for rule in self.rules if rule.keeps]
        self._open_keepers = any(
            len(prefix) < len(rule.pattern.split("/"))
            for prefix, rule in zip(self._keepers, (r for r in self.rules if r.keeps), strict=True)
        )

    def ignores(self, path: str) -> bool:
        """Whether `path` (relative, slashes, no leading ``./``) is left out."""
        for keeps, expression in self._groups:
            if expression.fullmatch(path):
                return not keeps
        return False

    def prunes(self, directory: str) -> bool:
        """Whether nothing below the ignored `directory` can be kept, so that it need not be read."""
        if self._open_keepers:
            return not any(self._reaches(prefix, directory) for prefix in self._keepers)
        prefix = directory + "/"
        return not any(rule.keeps and (rule.pattern + "/").startswith(prefix) for rule in self.rules)

    @staticmethod
    def _reaches(keeper: tuple[str, ...], directory: str) -> bool:
        """Whether a rule with these literal first components may match below `directory`."""
        parts = directory.split("/")
        shared = min(len(keeper), len(parts))
        return list(keeper[:shared]) == parts[:shared]

    def hidden_by(self, path: str) -> Rule | None:
        """The rule that leaves `path` out, None where it is not left out."""
        for rule in reversed(self.rules):
            if re.fullmatch(ignore_expression(rule.pattern), path, re.DOTALL):
                return None if rule.keeps else rule
        return None


def exclusions(patterns: Iterable[str]) -> IgnoreRules:
    """The rules of ``--exclude=PATTERN``, relative to each source; ``!`` takes back as in `.dockerignore`."""
    return IgnoreRules(
        Rule(posixpath.normpath(pattern.removeprefix("!")).lstrip("/"), pattern.startswith("!"), 0)
        for pattern in patterns
    )


def parse(text: str, *, filename: str = ".dockerignore") -> IgnoreRules:
    """Read the file's text.

    Raises:
        InvalidInput: a lone ``!`` or a malformed pattern, with the file and line.
    """
    rules = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if line.startswith("#"):
            continue
        pattern = line.strip()
        if not pattern:
            continue
        keeps = pattern.startswith("!")
        if keeps:
            pattern = pattern[1:].strip()
            if not pattern:
                raise InvalidInput(f"{filename}:{number}: '!' without a pattern", remedy="Name what is to be kept.")
        pattern = posixpath.normpath(pattern)
        if pattern.startswith("/") and len(pattern) > 1:
            pattern = pattern.lstrip("/")
        try:
            ignore_expression(pattern)
        except InvalidInput as error:
            raise InvalidInput(f"{filename}:{number}: {error.message}", remedy=error.remedy) from None
        rules.append(Rule(pattern, keeps, number))
    return IgnoreRules(rules)


def _groups(rules: tuple[Rule, ...]) -> list[tuple[bool, re.Pattern[str]]]:
    """Neighbouring rules of one polarity as one expression, the last of the file first."""
    groups: list[tuple[bool, list[str]]] = []
    for rule in reversed(rules):
        if not groups or groups[-1][0] != rule.keeps:
            groups.append((rule.keeps, []))
        groups[-1][1].append(ignore_expression(rule.pattern))
    return [(keeps, re.compile("|".join(f"(?:{text})" for text in texts), re.DOTALL)) for keeps, texts in groups]
