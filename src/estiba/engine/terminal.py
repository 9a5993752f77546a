"""The user's terminal: raw while a container has it, and as it was before, whatever happens."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

from estiba.errors import InvalidInput

DETACH = b"\x10\x11"
"""Ctrl-P Ctrl-Q."""


class RawTerminal:
    """A context manager: the terminal `descriptor` is raw inside and restored after. No terminal: nothing happens."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before: list[object] | None = None

    def __enter__(self) -> RawTerminal:
        if os.isatty(self._descriptor):
            import tty

            self._before = termios.tcgetattr(self._descriptor)
            tty.setraw(self._descriptor, termios.TCSANOW)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)  # type: ignore[arg-type]


def size_of(descriptor: int) -> tuple[int, int] | None:
    """Rows and columns of a terminal, None where it is none (-1 is no descriptor at all)."""
    if descriptor < 0:
        return None
    try:
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(descriptor, termios.TIOCGWINSZ, b"\0" * 8))
    except OSError:
        return None
    return (rows, columns) if rows and columns else None


def require_terminal(descriptor: int) -> None:
    """Refuse `-t` together with an input that is no terminal, as Docker does.

    Raises:
        InvalidInput: `descriptor` is no terminal.
    """
    if not os.isatty(descriptor):
        raise InvalidInput("the input device is not a terminal", remedy="Leave -t out, or run it from a terminal.")


class DetachKeys:
    """Finds the keys that leave a container in what is typed, also where they come one by one."""

    def __init__(self, keys: bytes = DETACH) -> None:
        self._keys = keys
        self._matched = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What to pass on, and whether the user wants to leave."""
        if not self._keys:
            return data, False
        passed = bytearray()
        for byte in data:
            if byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    return bytes(passed), True
                continue
            passed += self._keys[: self._matched]
            self._matched = 0
            if byte == self._keys[0]:
                self._matched = 1
            else:
                passed.append(byte)
        return bytes(passed), False


def parse_detach_keys(text: str) -> bytes:
    """``ctrl-p,ctrl-q`` or single characters, separated by commas.

    Raises:
        InvalidInput: no such key.
    """
    keys = bytearray()
    for word in text.split(",") if text else ():
        if word.startswith("ctrl-") and len(word) == 6 and (word[5].isalpha() or word[5] in "@[\\]^_"):
            keys.append(ord(word[5].upper()) & 0x1F)
        elif len(word.encode()) == 1:
            keys += word.encode()
        else:
            raise InvalidInput(f"invalid detach key {word!r}", remedy="Write keys like ctrl-p,ctrl-q or a,b.")
    return bytes(keys)
