"""Splitting an instruction's arguments: words with their quotes kept, JSON lists, and ``NAME=value`` pairs.

Offsets count in the instruction's text, so that an error can point at a word.
"""

from __future__ import annotations

import json
import re

from estiba.values import NamedTuple

_BLANKS = re.compile(r"[^\t\v\f\r ]+")


class Word(NamedTuple):
    text: str
    offset: int


class NotStrings(ValueError):
    """A JSON list that holds something other than strings."""


def plain_words(text: str, start: int = 0) -> list[Word]:
    """Words between blanks; quotes mean nothing."""
    return [Word(match[0], match.start()) for match in _BLANKS.finditer(text, start)]


def shell_words(text: str, escape: str, start: int = 0) -> list[Word]:
    """Words as a shell splits them, with quotes and escapes kept as they stand.

    A quote that is never closed reaches to the end; a lone escape at the end is dropped.
    """
    words: list[Word] = []
    begin, quote, position = -1, "", start
    while position < len(text):
        char = text[position]
        if begin < 0:
            if char.isspace():
                position += 1
                continue
            begin = position
        if char == escape and quote != "'":
            position += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char.isspace():
            words.append(Word(text[begin:position], begin))
            begin = -1
        position += 1
    if begin >= 0:
        last = text[begin:]
        if position > len(text):
            last = last[:-1]
        if last:
            words.append(Word(last, begin))
    return words


def json_strings(text: str) -> tuple[str, ...] | None:
    """The strings of a JSON list; None where `text` is no JSON list, which then is in shell form.

    Raises:
        NotStrings: a list with something else in it.
    """
    if not text.lstrip().startswith("["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list):
        return None
    if not all(isinstance(item, str) for item in value):
        raise NotStrings
    return tuple(_without_lone_surrogates(item) for item in value)


def _without_lone_surrogates(text: str) -> str:
    """Half a surrogate pair, which only an escape in JSON can write, is no character."""
    return re.sub(r"[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]", "\ufffd", text)
