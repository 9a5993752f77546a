"""Parser directives: ``# syntax=``, ``# escape=`` and ``# check=`` at the very top of a Dockerfile.

Dockerfile reference, "Parser directives": the first line that is not one of them ends them, and none may stand twice.
"""

from __future__ import annotations

import re

from estiba.dockerfile.errors import DockerfileError, Place, Source
from estiba.values import NamedTuple

DEFAULT_ESCAPE = "\\"

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$")
_NAMES = frozenset({"syntax", "escape", "check"})


class Directives(NamedTuple):
    """`syntax` and `check` are "" where not given; `escape` is a backslash or a backquote; `lines` is their number."""

    syntax: str = ""
    escape: str = DEFAULT_ESCAPE
    check: str = ""
    lines: int = 0


def read_directives(source: Source) -> Directives:
    """The directives that `source` begins with.

    Raises:
        DockerfileError: one stands twice, or an escape that is neither a backslash nor a backquote.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(source.lines, 1):
        match = _DIRECTIVE.match(line.lstrip())
        name = match[1].lower() if match else ""
        if match is None or name not in _NAMES:
            break
        if name in found:
            raise DockerfileError(f"the directive {name} stands twice", place=Place(source, number))
        if name == "escape" and match[2] not in ("\\", "`"):
            raise DockerfileError(
                f"the escape character is \\ or `, not {match[2]!r}",
                place=Place(source, number, line.rfind(match[2]) + 1, len(match[2])),
            )
        found[name] = match[2]
    return Directives(
        found.get("syntax", ""), found.get("escape", DEFAULT_ESCAPE), found.get("check", ""), lines=len(found)
    )
