"""Path patterns, turned into regular expressions.

Two grammars: that of COPY and ADD sources (Go's `path.Match`, where `**` means nothing special), and that of
`.dockerignore` and `--exclude` (moby's pattern matcher: `**` crosses directories). Neither is gitignore's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from estiba.errors import InvalidInput

_STAR, _DEEP = "*", "**/"
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
    """The expression's text, which no path can make slow: a pattern may come from anybody who can push.

    A star that another one follows takes as little as it can and never thinks again (an atomic group). That finds every
    match, since the star behind can take what this one left. The same holds for ``**/`` between whole components.
    """
    runs: list[list[str]] = [[]]
    for piece in _pieces(pattern, crosses=crosses):
        if piece == _DEEP:
            runs.append([])
        else:
            runs[-1].append(piece)
    is_whole = all(run[-1:] in ([], ["/"]) for run in runs[:-1])
    if not is_whole and len(runs) > 3:
        raise InvalidPattern(pattern, "more than two ** stand within names")
    if len(runs) == 1:
        return _run(runs[0])
    first, *middle, last = map(_run, runs)
    between = "(?>(?:.*?/)??{})" if is_whole else "(?:.*/)?{}"
    return first + "".join(between.format(run) for run in middle) + "(?:.*/)?" + last


def _run(pieces: list[str]) -> str:
    """The text of pieces among which there is no ``**/``."""
    out: list[str] = []
    open_groups = 0
    for position, piece in enumerate(pieces):
        if piece != _STAR:
            out.append(piece)
            continue
        out.append(")" * open_groups)
        component = pieces[position + 1 :]
        has_more = _STAR in (component[: component.index("/")] if "/" in component else component)
        out.append("(?>[^/]*?" if has_more else "[^/]*")
        open_groups = int(has_more)
    return "".join(out)


def _pieces(pattern: str, *, crosses: bool) -> Iterator[str]:
    """`_STAR`, `_DEEP`, ``/``, or the expression of one character (of all the rest, for ``**`` at the end)."""
    at, end = 0, len(pattern)
    while at < end:
        character = pattern[at]
        at += 1
        if character == "*" and crosses and pattern[at : at + 1] == "*":
            at += 1
            if pattern[at : at + 1] == "/":
                at += 1
            yield ".*" if at >= end else _DEEP
        elif character == "*":
            yield _STAR
        elif character == "?":
            yield "[^/]"
        elif character == "\\":
            if at >= end:
                raise InvalidPattern(pattern, "it ends in a backslash")
            yield re.escape(pattern[at])
            at += 1
        elif character == "[":
            text, at = _bracket(pattern, at)
            yield text
        else:
            yield re.escape(character)


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
            text = "".join([*out, "]"])
            return (f"(?!/){text}" if re.fullmatch(text, "/") else text), at + 1
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
