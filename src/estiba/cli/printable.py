"""Text from images and registries, made harmless for a terminal.

An image's command or history may hold what a terminal obeys: to move the cursor over the line before, to set the title,
to turn the direction of writing. Tables and errors show it instead.
"""

from __future__ import annotations

import json
import re

# Control characters of both sets, line separators, changes of direction, halves of surrogate pairs.
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_OBEYED_BUT_LINES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str, *, lines: bool = False) -> str:
    """`text` with ``\\x1b`` and the like where a terminal would act; `lines` keeps line breaks and tabs."""
    return (_OBEYED_BUT_LINES if lines else _OBEYED).sub(_shown, text)


def printable_json(value: object, *, indent: int | None = None) -> str:
    """`value` as JSON that means the same and that no terminal obeys; letters of every script stay as they are."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, ensure_ascii=False, separators=separators, indent=indent)
    return _OBEYED_BUT_LINES.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _shown(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode("ascii")
