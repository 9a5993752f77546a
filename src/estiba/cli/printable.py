"""Text from images and registries, made harmless for a terminal.

An image's command or history may hold what a terminal obeys: to move the cursor over the line before, to set the title,
to turn the direction of writing. Tables and errors show it instead.
"""

from __future__ import annotations

# Control characters of both sets, line separators, changes of direction, halves of surrogate pairs.
_OBEYED = ((0x00, 0x1F), (0x7F, 0x9F), (0x2028, 0x202E), (0x2066, 0x2069), (0xD800, 0xDFFF))


def printable(text: str, *, lines: bool = False) -> str:
    """`text` with ``\\x1b`` and the like where a terminal would act; `lines` keeps line breaks and tabs."""
    if text.isprintable():  # of what is obeyed, nothing is
        return text
    kept = "\t\n" if lines else ""
    return "".join(_shown(c) if _is_obeyed(c) and c not in kept else c for c in text)


def printable_json(value: object, *, indent: int | None = None) -> str:
    """`value` as JSON that means the same and that no terminal obeys; letters of every script stay as they are."""
    from estiba.oci import json_text

    text = json_text.dumps(value, indent=indent or 0, ascii=False)
    if text.isprintable():
        return text
    return "".join(f"\\u{ord(c):04x}" if _is_obeyed(c) and c not in "\t\n" else c for c in text)


def _is_obeyed(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _OBEYED)


def _shown(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
