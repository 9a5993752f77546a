"""Path patterns, turned into regular expressions.

Two grammars: that of COPY and ADD sources (Go's `path.Match`, where `**` means nothing special), and that of
`.dockerignore` and `--exclude` (moby's pattern matcher: `**` crosses directories). Neither is gitignore's.
"""

from __future__ import annotations

import re

from estiba.errors import InvalidInput

_WILDCARDS = re.compile(r"[*?\[\\]")


class InvalidPattern(InvalidInput):
    def __init__(self, pattern: str, reason: str) -> None:
        super().__init__(
            f"invalid pattern {pattern!r}: {reason}", remedy="Escape a literal *, ?, [ or \\ with a backslash."
        )


def has_wildcard(pattern: str) -> bool:
    """Whether `pattern` can match anything else than itself."""
    return _WILDCARDS.search(pattern) is not None


def source_expression(pattern: str) -> re.Pattern[str]:
    """The expression of one source pattern; it matches whole paths.

    Raises:
        InvalidPattern: an unclosed bracket or a backslash at the end.
    """
    return _compile(pattern, _translate(pattern, crosses=False))


def ignore_expression(pattern: str) -> str:
    """The text of the expression of one ignore pattern; it also matches everything below what it names.

    A pattern that names a directory ignores what is in it, so each expression ends in ``(?:/.*)?``.

    Raises:
        InvalidPattern: as for `source_expression`.
    """
    text = _translate(pattern, crosses=True) + "(?:/.*)?"
    _compile(pattern, text)
    return text


def literal_prefix(pattern: str) -> tuple[str, ...]:
    """The leading path components that hold no wildcard."""
    found = []
    for component in pattern.split("/"):
        if has_wildcard(component):
            break
        found.append(component)
    return tuple(found)


def _compile(pattern: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.DOTALL)
    except re.error as error:
        raise InvalidPattern(pattern, str(error)) from None


def _translate(pattern: str, *, crosses: bool) -> str:
    out: list[str] = []
    at, end = 0, len(pattern)
    while at < end:
        character = pattern[at]
        at += 1
        if character == "*" and crosses and pattern[at : at + 1] == "*":
            at += 1
            if pattern[at : at + 1] == "/":
                at += 1
            out.append(".*" if at >= end else "(?:.*/)?")
        elif character == "*":
            out.append("[^/]*")
        elif character == "?":
            out.append("[^/]")
        elif character == "\\":
            if at >= end:
                raise InvalidPattern(pattern, "it ends in a backslash")
            out.append(re.escape(pattern[at]))
            at += 1
        elif character == "[":
            text, at = _bracket(pattern, at)
            out.append(text)
        else:
            out.append(re.escape(character))
    return "".join(out)


def _bracket(pattern: str, at: int) -> tuple[str, int]:
    """A character class; `at` is behind the bracket. Gives its expression and the position behind it."""
    out = ["["]
    end = len(pattern)
    if at < end and pattern[at] == "^":
        out.append("^/")
        at += 1
    first = True
    while True:
        if at >= end:
            raise InvalidPattern(pattern, "a bracket is not closed")
        character = pattern[at]
        if character == "]" and not first:
            return "".join([*out, "]"]), at + 1
        first = False
        low, at = _class_character(pattern, at)
        if pattern[at : at + 1] == "-" and pattern[at + 1 : at + 2] not in ("", "]"):
            high, at = _class_character(pattern, at + 1)
            if high < low:
                raise InvalidPattern(pattern, f"the range {low}-{high} is empty")
            out.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            out.append(re.escape(low))


def _class_character(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at] == "\\":
        at += 1
        if at >= len(pattern):
            raise InvalidPattern(pattern, "it ends in a backslash")
    return pattern[at], at + 1
