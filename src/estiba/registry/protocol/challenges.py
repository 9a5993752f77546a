"""`WWW-Authenticate`: what a registry wants before it answers (RFC 9110, 11.6.1; the tokens of Docker's registries)."""

from __future__ import annotations

from estiba.values import NamedTuple


class Challenge(NamedTuple):
    """`scheme` in lower case; `parameters` with names in lower case."""

    scheme: str
    parameters: dict[str, str]


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Read a header, which may hold several challenges. What is malformed ends the reading; nothing is raised."""
    scanner = _Scanner(header)
    found: list[Challenge] = []
    while word := scanner.token():
        scanner.spaces()
        if scanner.take("=") and found:
            value = scanner.value()
            if value is None:
                break
            found[-1].parameters.setdefault(word.lower(), value)
        else:
            found.append(Challenge(word.lower(), {}))
        scanner.separators()
    return tuple(found)


def bearer(realm: str, service: str, scope: str) -> str:
    """A challenge of the token scheme."""
    parts = [f'realm="{realm}"', f'service="{service}"'] + ([f'scope="{scope}"'] if scope else [])
    return "Bearer " + ",".join(parts)


def basic(realm: str) -> str:
    return f'Basic realm="{realm}"'


_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class _Scanner:
    """Reads the header from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.separators()

    def token(self) -> str:
        start = self._at
        while self._at < len(self._text) and self._text[self._at] in _TOKEN:
            self._at += 1
        return self._text[start : self._at]

    def take(self, character: str) -> bool:
        if self._text.startswith(character, self._at):
            self._at += 1
            return True
        return False

    def spaces(self) -> None:
        while self._at < len(self._text) and self._text[self._at] in " \t":
            self._at += 1

    def separators(self) -> None:
        while self._at < len(self._text) and self._text[self._at] in " \t,":
            self._at += 1

    def value(self) -> str | None:
        """A token or a quoted string; None where neither stands here or the quotes do not close."""
        self.spaces()
        if not self.take('"'):
            return self.token() or None
        characters: list[str] = []
        while self._at < len(self._text):
            character = self._text[self._at]
            self._at += 1
            if character == '"':
                return "".join(characters)
            if character == "\\" and self._at < len(self._text):
                character = self._text[self._at]
                self._at += 1
            characters.append(character)
        return None
