"""A container's output on disk, as Docker's json-file driver writes it: one JSON object a line, files that take turns.

    {"log":"hello\n","stream":"stdout","time":"2026-01-02T03:04:05.678901234Z"}

A line longer than 16 KiB is cut into several entries, of which only the last ends with a newline.
"""

from __future__ import annotations

import os
import time

from estiba.oci import json_text
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

LONGEST_ENTRY = 16 * 1024
_AT_ONCE = 2000


class LogFile:
    """Writes entries to `path`, `path`.1 the one before, and so on: at most `files` files of about `size` bytes.

    What a stream wrote after its last newline is kept until the line ends or `end` is called.
    """

    def __init__(self, path: str, *, size: int, files: int, descriptor: int = -1) -> None:
        """`descriptor` is the file at `path` where it is open already."""
        self._path = path
        self._size = max(size, 4096)
        self._files = max(files, 1)
        self._rest: dict[str, bytes] = {}
        self._descriptor = descriptor
        self._written = 0
        if descriptor >= 0:
            self._written = os.fstat(descriptor).st_size
        else:
            self._open()

    @classmethod
    def restored(cls, state: dict[str, Any]) -> LogFile:
        """As another program has left it (`state`)."""
        log = cls(state["path"], size=state["size"], files=state["files"], descriptor=state["descriptor"])
        log._rest = {stream: text.encode("latin-1") for stream, text in state["rest"].items()}
        return log

    def state(self) -> dict[str, Any]:
        """What another program needs to go on."""
        rest = {stream: data.decode("latin-1") for stream, data in self._rest.items()}
        place = {"path": self._path, "size": self._size, "files": self._files}
        return place | {"descriptor": self._descriptor, "rest": rest}

    def write(self, stream: str, data: bytes) -> None:
        """Take what `stream` (stdout or stderr) wrote."""
        data = self._rest.pop(stream, b"") + data
        *lines, rest = data.split(b"\n")
        moment = _timestamp()
        # Short lines become long entries: a few at a time, or a flood of them would take many times its own memory.
        for first in range(0, len(lines), _AT_ONCE):
            some: list[str] = []
            for line in lines[first : first + _AT_ONCE]:
                _append(some, line + b"\n", stream, moment)
            self._put(some)
        entries: list[str] = []
        while len(rest) >= LONGEST_ENTRY:
            entries.append(_entry(rest[:LONGEST_ENTRY], stream, moment))
            rest = rest[LONGEST_ENTRY:]
        if rest:
            self._rest[stream] = rest
        self._put(entries)

    def end(self) -> None:
        """Write what has no newline yet, and sync: the container has ended."""
        moment = _timestamp()
        self._put([_entry(rest, stream, moment) for stream, rest in self._rest.items()])
        self._rest.clear()

    def close(self) -> None:
        self.end()
        os.close(self._descriptor)
        self._descriptor = -1

    def _put(self, entries: list[str]) -> None:
        pending: list[bytes] = []
        for entry in entries:
            raw = entry.encode()
            if self._written and self._written + len(raw) > self._size:
                self._flush(pending)
                self._rotate()
            pending.append(raw)
            self._written += len(raw)
        self._flush(pending)

    def _flush(self, pending: list[bytes]) -> None:
        data = b"".join(pending)
        pending.clear()
        while data:
            data = data[os.write(self._descriptor, data) :]

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self._path, flags, 0o640)
        self._written = os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        os.close(self._descriptor)
        names = [self._path, *(f"{self._path}.{number}" for number in range(1, self._files))]
        if self._files == 1:
            os.unlink(self._path)
        for older, newer in zip(reversed(names), list(reversed(names))[1:], strict=False):
            if os.path.exists(newer):
                os.rename(newer, older)
        self._open()


class NoLog:
    """The log driver ``none``."""

    def state(self) -> dict[str, Any]:
        """Nothing to go on with."""
        return {}

    def write(self, stream: str, data: bytes) -> None:
        """Forget it."""

    def end(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is open."""


def _append(entries: list[str], line: bytes, stream: str, moment: str) -> None:
    while len(line) > LONGEST_ENTRY:
        entries.append(_entry(line[:LONGEST_ENTRY], stream, moment))
        line = line[LONGEST_ENTRY:]
    entries.append(_entry(line, stream, moment))


def _entry(data: bytes, stream: str, moment: str) -> str:
    return f'{{"log":{json_text.dumps(data.decode(errors="replace"))},"stream":"{stream}","time":"{moment}"}}\n'


def _timestamp() -> str:
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds:09d}Z"
