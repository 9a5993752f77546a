"""Reading what a container wrote: over rotated files, from a time or the last entries on, and on while it runs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator

from estiba.linux.inotify import DirectoryWatch
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import BinaryIO

_BLOCK = 1 << 16
_LONGEST_PAUSE = 1.0


class Entry(NamedTuple):
    """What was written at once, at most one line. `time` is RFC 3339 with nanoseconds, in UTC, so it sorts as text."""

    time: str
    stream: str
    data: bytes


class Wanted(NamedTuple):
    """`tail` None is everything; `since` and `until` are times like an entry's, "" is no limit."""

    tail: int | None = None
    since: str = ""
    until: str = ""


def read(path: str, wanted: Wanted) -> Iterator[Entry]:
    """The entries that are in `path` and in the files that were rotated away from it, the oldest first."""
    with LogReader(path, tail=wanted.tail) as reader:
        for entry in reader.available():
            if _is_wanted(entry, wanted):
                yield entry


def follow(path: str, wanted: Wanted, *, is_alive: Callable[[], bool]) -> Iterator[Entry]:
    """The entries that there are, then those that come, until `is_alive` says no and all is read."""
    with DirectoryWatch(os.path.dirname(path)) as watch, LogReader(path, tail=wanted.tail) as reader:
        while True:
            lives = is_alive()  # asked before reading: what was written before the end is read after it
            for entry in reader.available():
                if wanted.until and entry.time > wanted.until:
                    return
                if _is_wanted(entry, wanted):
                    yield entry
            if not lives:
                return
            watch.wait(_LONGEST_PAUSE)


class LogReader:
    """Reads on where it stopped, also when files are rotated meanwhile. A context manager."""

    def __init__(self, path: str, *, tail: int | None = None) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""
        self._begin(tail)

    def __enter__(self) -> LogReader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def available(self) -> Iterator[Entry]:
        """The entries that have come since."""
        while True:
            if self._file is None:
                self._file = _opened(self._path)
                if self._file is None:
                    return
            while block := self._file.read(_BLOCK):
                *lines, self._rest = (self._rest + block).split(b"\n")
                for line in lines:
                    if (entry := _parsed(line)) is not None:
                        yield entry
            newer = self._newer()
            if newer is None:
                return
            # What was written between our last read and the rotation is in the old file still.
            if block := self._file.read():
                for line in (self._rest + block).split(b"\n"):
                    if (entry := _parsed(line)) is not None:
                        yield entry
            self._rest = b""
            self._file.close()
            self._file = newer

    def _begin(self, tail: int | None) -> None:
        """Stand at the beginning of the oldest file, or of the last `tail` entries."""
        files = [file for name in reversed(self._names()) if (file := _opened(name)) is not None]
        chosen = 0
        if tail is not None and files:
            missing = tail
            for chosen in reversed(range(len(files))):
                missing = _seek_tail(files[chosen], missing)
                if missing <= 0:
                    break
        for number, file in enumerate(files):
            if number == chosen:
                self._file = file
            else:
                file.close()

    def _names(self) -> list[str]:
        """The log and its older parts, the newest first."""
        names = [self._path]
        while os.path.exists(f"{self._path}.{len(names)}"):
            names.append(f"{self._path}.{len(names)}")
        return names

    def _newer(self) -> BinaryIO | None:
        """The file after the one that is open; None where that is the newest."""
        assert self._file is not None
        ours = os.fstat(self._file.fileno())
        candidates: list[BinaryIO] = []
        found: BinaryIO | None = None
        for name in self._names():
            file = _opened(name)
            if file is None:
                continue
            status = os.fstat(file.fileno())
            if (status.st_dev, status.st_ino) == (ours.st_dev, ours.st_ino):
                file.close()
                found = candidates.pop() if candidates else None
                break
            candidates.append(file)
        else:
            # Ours has been rotated out of sight: the oldest is the next.
            found = candidates.pop() if candidates else None
        for file in candidates:
            file.close()
        return found


def _opened(path: str) -> BinaryIO | None:
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        return None


def _seek_tail(file: BinaryIO, count: int) -> int:
    """Move to the last `count` lines; gives how many lines are missing, as the file has fewer."""
    position = file.seek(0, os.SEEK_END)
    if count <= 0:
        return 0
    found = -1  # the newline at the very end belongs to the last line
    while position > 0:
        start = max(0, position - _BLOCK)
        file.seek(start)
        block = file.read(position - start)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            found += 1
            if found == count:
                file.seek(start + at + 1)
                return 0
        position = start
    file.seek(0)
    return count - found - 1


def _parsed(line: bytes) -> Entry | None:
    """An entry; None for a line that a crash or a full disk cut short."""
    if not line:
        return None
    try:
        value = json.loads(line)
        return Entry(value["time"], value["stream"], value["log"].encode("utf-8", "replace"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_wanted(entry: Entry, wanted: Wanted) -> bool:
    return (not wanted.since or entry.time >= wanted.since) and (not wanted.until or entry.time <= wanted.until)
