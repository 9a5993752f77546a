"""``--chmod``: a mode as chmod(1) reads it, octal or symbolic, applied to one file after another. Pure."""

from __future__ import annotations

import stat

from estiba.errors import InvalidInput
from estiba.values import NamedTuple

_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007}
_EVERYBODY = 0o7777
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}
_SHIFT = {"u": 6, "g": 3, "o": 0}
_ANY_EXECUTE = 0o111


class _Change(NamedTuple):
    """One operator with its letters, for the bits in `mask`; no umask counts where nobody is named."""

    mask: int
    operator: str
    letters: str

    def applied(self, mode: int, *, is_directory: bool) -> int:
        bits = 0
        for letter in self.letters:
            if letter in _SHIFT:
                bits |= ((mode >> _SHIFT[letter]) & 7) * 0o111
            elif letter != "X":
                bits |= _BITS[letter]
            elif is_directory or mode & _ANY_EXECUTE:
                bits |= _ANY_EXECUTE
        bits &= self.mask
        if self.operator == "+":
            return mode | bits
        return mode & ~bits if self.operator == "-" else (mode & ~self.mask) | bits


class Mode:
    """What ``--chmod`` makes of a mode; "" leaves it alone."""

    def __init__(self, text: str) -> None:
        """Read `text`, such as ``755`` or ``u=rwX,go=rX``.

        Raises:
            InvalidInput: it is neither.
        """
        self._fixed = int(text, 8) if text and all(letter in "01234567" for letter in text) else None
        self._changes = () if self._fixed is not None else tuple(_changes(text))

    def of(self, mode: int) -> int:
        """The mode, its type included, that a file of `mode` gets."""
        kind = stat.S_IFMT(mode)
        if self._fixed is not None:
            return kind | self._fixed
        permissions = stat.S_IMODE(mode)
        for change in self._changes:
            permissions = change.applied(permissions, is_directory=kind == stat.S_IFDIR)
        return kind | permissions


def _changes(text: str) -> list[_Change]:
    found = []
    for clause in text.split(",") if text else ():
        who = clause[: len(clause) - len(clause.lstrip("ugoa"))]
        rest = clause[len(who) :]
        mask = 0
        for letter in who:
            mask |= _WHO.get(letter, _EVERYBODY)
        if not rest:
            raise _invalid(text)
        while rest:
            operator, rest = rest[0], rest[1:]
            letters = rest[: len(rest) - len(rest.lstrip("rwxXstugo"))]
            rest = rest[len(letters) :]
            if operator not in "+-=":
                raise _invalid(text)
            found.append(_Change(mask or _EVERYBODY, operator, letters))
    return found


def _invalid(text: str) -> InvalidInput:
    return InvalidInput(
        f"--chmod={text} is no mode", remedy="Write an octal number such as 755, or such as u=rwX,go=rX."
    )
