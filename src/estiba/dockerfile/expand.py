"""Expansion of variables and removal of quotes in a word (Dockerfile reference, "Environment replacement").

``$V ${V} ${V:-w} ${V-w} ${V:+w} ${V+w} ${V:?e} ${V?e} ${V#p} ${V##p} ${V%p} ${V%%p} ${V/p/r} ${V//p/r}``; the words
after an operator may hold variables themselves. In a pattern, ``*`` and ``?`` are wild and the escape makes them plain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from estiba.values import NamedTuple

_DEEPEST = 50
"""How deep expansions may be nested."""

LONGEST = 1 << 17
"""How many characters variables may become in one word: the kernel takes no longer one in an environment."""

_LONGEST_PATTERN = 1 << 10

_SPECIAL = frozenset("@*#?-$!0")


class ExpansionError(ValueError):
    """A word cannot be expanded; the message says why. Whoever knows the word's place translates it."""


class Expansion(NamedTuple):
    """`text` is the whole; `words` the same split at blanks that are not quoted; `unknown` the variables not set."""

    text: str
    words: tuple[str, ...]
    unknown: frozenset[str]


def expand(
    word: str,
    variables: Mapping[str, str],
    *,
    escape: str = "\\",
    keep_quotes: bool = False,
) -> Expansion:
    """Expand `word`. With `keep_quotes`, quotes are characters like others, as in a here-document.

    Raises:
        ExpansionError: a quote or brace without its end, an unknown operator, what ``${V?message}`` demands, or more
            text than `LONGEST` (each of thirty lines that double a variable would double the memory that it takes).
    """
    walker = _Walker(word, variables, escape, keep_quotes)
    piece = walker.until("")
    return Expansion("".join(piece.text), piece.split(), frozenset(walker.unknown))


class _Piece:
    """What a walk has made so far: the text, and the same split at blanks that came unquoted."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self._words: list[str] = []
        self._word: list[str] = []

    def add(self, text: str) -> None:
        """Text whose blanks split words."""
        self.text.append(text)
        for char in text:
            if not char.isspace():
                self._word.append(char)
            elif self._word:
                self._end_word()

    def add_quoted(self, text: str) -> None:
        self.text.append(text)
        self._word.append(text)

    def split(self) -> tuple[str, ...]:
        self._end_word()
        return tuple(self._words)

    def _end_word(self) -> None:
        word = "".join(self._word)
        if word:
            self._words.append(word)
        self._word.clear()


class _Walker:
    """Walks a word once, from left to right."""

    def __init__(self, word: str, variables: Mapping[str, str], escape: str, keep_quotes: bool) -> None:
        self._word = word
        self._variables = variables
        self._escape = escape
        self._keep_quotes = keep_quotes
        self._position = 0
        self._depth = 0
        self._spent = 0
        self.unknown: set[str] = set()

    def until(self, stop: str, *, raw_escapes: bool = False) -> _Piece:
        """Up to and over the character `stop`, or to the end for ""; `raw_escapes` leaves escapes in, for patterns."""
        piece = _Piece()
        while (char := self._peek()) != "":
            if char == stop:
                self._position += 1
                return piece
            if char == "$":
                piece.add(self._dollar())
            elif char == "'" and not self._keep_quotes:
                piece.add_quoted(self._single_quoted())
            elif char == '"' and not self._keep_quotes:
                piece.add_quoted(self._double_quoted(raw_escapes=raw_escapes))
            elif char == self._escape:
                self._position += 1
                escaped = self._take()
                piece.add_quoted((char if raw_escapes else "") + escaped)
            else:
                piece.add(self._take())
        if stop:
            raise ExpansionError(f"{stop!r} is missing at the end")
        return piece

    def _peek(self) -> str:
        return self._word[self._position : self._position + 1]

    def _take(self) -> str:
        char = self._peek()
        self._position += 1
        return char

    def _single_quoted(self) -> str:
        end = self._word.find("'", self._position + 1)
        if end < 0:
            raise ExpansionError("a single quote is never closed")
        text = self._word[self._position + 1 : end]
        self._position = end + 1
        return text

    def _double_quoted(self, *, raw_escapes: bool) -> str:
        self._position += 1
        parts: list[str] = []
        while (char := self._peek()) != '"':
            if char == "":
                raise ExpansionError("a double quote is never closed")
            if char == "$":
                parts.append(self._dollar())
                continue
            self._position += 1
            if char != self._escape:
                parts.append(char)
                continue
            # Only these can be escaped within double quotes; before others an escape is an escape.
            escaped = self._take() if self._peek() in ('"', "$", self._escape) else ""
            parts.append((char if raw_escapes or not escaped else "") + escaped)
        self._position += 1
        return "".join(parts)

    def _dollar(self) -> str:
        self._position += 1
        if self._peek() != "{":
            name = self._name()
            return (self._value(name) or "") if name else "$"
        self._position += 1
        if self._depth >= _DEEPEST:
            raise ExpansionError(f"variables are nested more than {_DEEPEST} deep")
        self._depth += 1
        try:
            return self._braced()
        finally:
            self._depth -= 1

    def _braced(self) -> str:
        """After ``${``."""
        name = self._name()
        if not name:
            raise ExpansionError("a variable's name is missing after ${")
        operator = self._take()
        if operator == "}":
            return self._value(name) or ""
        if operator == "":
            raise ExpansionError(f"'}}' is missing after ${{{name}")
        empty_is_unset = operator == ":"
        if empty_is_unset:
            operator = self._take()
            if operator in "#%/":
                raise ExpansionError(f"unknown operator ':{operator}' after ${{{name}")
        if operator in ("-", "+", "?"):
            return self._conditional(name, operator, empty_is_unset=empty_is_unset)
        if operator in ("#", "%"):
            return self._trimmed(name, operator)
        if operator == "/":
            return self._replaced(name)
        raise ExpansionError(f"unknown operator {operator!r} after ${{{name}")

    def _conditional(self, name: str, operator: str, *, empty_is_unset: bool) -> str:
        word = "".join(self.until("}").text)
        value = self._variables.get(name)
        is_set = value is not None and not (empty_is_unset and value == "")
        if operator == "+":
            return word if is_set else ""
        if value is not None and is_set:
            return value
        if operator == "-":
            return word
        raise ExpansionError(f"{name}: {word or ('is empty' if value == '' else 'is not set')}")

    def _trimmed(self, name: str, side: str) -> str:
        greedy = self._peek() == side
        if greedy:
            self._position += 1
        pattern = self._pattern("}")
        value = self._value(name) or ""
        if side == "#":
            found = _find(pattern, value, 0, greedy=greedy, anchored=True)
            return value[found[1] :] if found else value
        found = _find(pattern[::-1], value[::-1], 0, greedy=greedy, anchored=True)
        return value[: len(value) - found[1]] if found else value

    def _replaced(self, name: str) -> str:
        everywhere = self._peek() == "/"
        if everywhere:
            self._position += 1
        pattern = self._pattern("/")
        replacement = "".join(self.until("}", raw_escapes=True).text)
        value = self._value(name) or ""
        out: list[str] = []
        position = 0
        while found := _find(pattern, value, position, greedy=True):
            begin, end = found
            self._spend(len(replacement))
            out += (value[position:begin], replacement)
            if begin == end:  # a pattern of nothing matches between all characters, as in re.sub
                out.append(value[end : end + 1])
                end += 1
            position = end
            if not everywhere or position > len(value):
                break
        return "".join([*out, value[position:]])

    def _pattern(self, stop: str) -> list[str]:
        """The tokens of a pattern: ``*``, ``?``, or a plain character with a backslash before it."""
        text = "".join(self.until(stop, raw_escapes=True).text)
        tokens: list[str] = []
        position = 0
        while position < len(text):
            char = text[position]
            if char == self._escape and position + 1 < len(text):
                position += 1
                tokens.append("\\" + text[position])
            else:
                tokens.append(char if char in "*?" else "\\" + char)
            position += 1
        if len(tokens) > _LONGEST_PATTERN:
            raise ExpansionError(f"a pattern has more than {_LONGEST_PATTERN} characters")
        return tokens

    def _name(self) -> str:
        """Letters, digits and ``_``; only digits where the first is one; or one special character."""
        begin = self._position
        char = self._peek()
        if char.isdigit():
            while self._peek().isdigit():
                self._position += 1
        elif char in _SPECIAL and char:
            self._position += 1
        else:
            while self._peek().isalnum() or self._peek() == "_":
                self._position += 1
        return self._word[begin : self._position]

    def _value(self, name: str) -> str | None:
        value = self._variables.get(name)
        if value is None:
            self.unknown.add(name)
        self._spend(len(value or ""))
        return value

    def _spend(self, size: int) -> None:
        self._spent += size
        if self._spent > LONGEST:
            raise ExpansionError(f"the variables become more than {LONGEST} characters")


def _find(
    tokens: list[str], value: str, position: int, *, greedy: bool, anchored: bool = False
) -> tuple[int, int] | None:
    """Where the pattern matches first from `position` on: the longest match there, or the shortest.

    Between two stars the earliest place is the best one, so nothing is ever tried twice.
    """
    texts: list[str] = [""]
    for token in tokens:
        if token == "*":
            texts.append("")
        else:
            texts[-1] += "." if token == "?" else re.escape(token[1:])
    first, *others = [re.compile(text, re.DOTALL) for text in texts]
    match = first.match(value, position) if anchored else first.search(value, position)
    if match is None:
        return None
    begin, end = match.span()
    for number, text in enumerate(others, start=1):
        if number == len(others) and greedy:
            match = re.compile(f".*{text.pattern}", re.DOTALL).match(value, end)
        else:
            match = text.search(value, end)
        if match is None:
            return None
        end = match.end()
    return begin, end
