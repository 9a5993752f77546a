"""Descriptors of directories inside a root that a hostile tar is being unpacked into.

The last ones used are kept open, since a tar stays in a directory for a while. A descriptor goes stale only when
something on the way to it is replaced, so every removal of a directory or a link forgets them all: those are rare.
"""

from __future__ import annotations

import errno
import os
import stat
from types import TracebackType

from estiba.errors import InvalidInput
from estiba.linux.paths import open_in_root

_MOST_OPEN = 64
_DIRECTORY = os.O_PATH | os.O_DIRECTORY


class Memory:
    """How many bytes of names may be remembered: a small stream can hold a million long ones."""

    def __init__(self, limit: int) -> None:
        self._limit = self._left = limit

    def take(self, name: bytes) -> None:
        """Count one more name.

        Raises:
            InvalidInput: that is too much.
        """
        self._left -= len(name) + 100
        if self._left < 0:
            raise InvalidInput(f"the names of the layer's directories and links take more than {self._limit} bytes")


class Directories:
    """A context manager that closes every descriptor. Paths are relative, normalised bytes; ``b""`` is the root.

    `implied` are the directories that were made because an entry lay in them, without an entry of their own (yet).
    """

    def __init__(self, root: str, memory: Memory) -> None:
        self._memory = memory
        self.root = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.implied: dict[bytes, None] = {}
        self._open: dict[bytes, int] = {}
        self._held: list[int] = []  # forgotten, but still in somebody's hand

    def __enter__(self) -> Directories:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget()
        self._let_go()
        os.close(self.root)

    def open(self, path: bytes, *, make: bool = True, keep: int = -1) -> int:
        """A descriptor (O_PATH) of the directory `path`, good until the next call; that of `keep` stays good as well.

        With `make`, what is missing of it is made: owned by the caller, 0755, and noted in `implied`.

        Raises:
            OSError: it cannot be opened: FileNotFoundError, or NotADirectoryError for a file in the way.
        """
        if not path:
            return self.root
        if self._held and keep not in self._held:
            self._let_go()
        known = self._open.get(path)
        if known is not None:
            return known
        try:
            descriptor = open_in_root(self.root, path, _DIRECTORY)
        except FileNotFoundError:
            if not make:
                raise
            descriptor = self._make(path)
        if len(self._open) >= _MOST_OPEN:
            self._forget(keep)
        self._open[path] = descriptor
        return descriptor

    def is_explicit(self, path: bytes) -> None:
        """Note that the directory `path` has an entry of its own."""
        self.implied.pop(path, None)

    def remove(self, place: int, name: bytes) -> bool:
        """Remove `name` in the directory `place` with all below it, if it is there; True if it was a directory."""
        try:
            mode = os.stat(name, dir_fd=place, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return False
        if not stat.S_ISDIR(mode):
            os.unlink(name, dir_fd=place)
            if stat.S_ISLNK(mode):
                self._forget(place)
            return False
        _remove_tree(place, name)
        self._forget(place)
        return True

    def _make(self, path: bytes) -> int:
        """Make `path` from its first missing component on."""
        parts = path.split(b"/")
        have = len(parts) - 1
        while have:
            try:
                descriptor = open_in_root(self.root, b"/".join(parts[:have]), _DIRECTORY)
                break
            except FileNotFoundError:
                have -= 1
        else:
            descriptor = os.dup(self.root)
        for count in range(have, len(parts)):
            try:
                # A dangling symbolic link is in the way here: EEXIST, which is what the caller should hear.
                os.mkdir(parts[count], 0o700, dir_fd=descriptor)
                os.chmod(parts[count], 0o755, dir_fd=descriptor)
                os.utime(parts[count], (0, 0), dir_fd=descriptor, follow_symlinks=False)
                child = os.open(parts[count], _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = child
            made = b"/".join(parts[: count + 1])
            self._memory.take(made)
            self.implied[made] = None
        return descriptor

    def _forget(self, keep: int = -1) -> None:
        for descriptor in self._open.values():
            if descriptor == keep:
                self._held.append(descriptor)
            else:
                os.close(descriptor)
        self._open = {}

    def _let_go(self) -> None:
        for descriptor in self._held:
            os.close(descriptor)
        self._held = []


def _remove_tree(place: int, name: bytes) -> None:
    """Remove a directory. Deep ones are moved up as they are met, so that no depth exhausts the stack."""
    try:
        os.rmdir(name, dir_fd=place)
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    top = os.open(name, flags, dir_fd=place)
    try:
        while entries := os.listdir(top):
            for entry in entries:
                _remove_or_lift(top, entry, flags)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=place)


def _remove_or_lift(top: int, name: str, flags: int) -> None:
    if not stat.S_ISDIR(os.stat(name, dir_fd=top, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=top)
        return
    inner = os.open(name, flags, dir_fd=top)
    try:
        for entry in os.listdir(inner):
            if stat.S_ISDIR(os.stat(entry, dir_fd=inner, follow_symlinks=False).st_mode):
                os.rename(entry, f".lifted-{os.urandom(8).hex()}", src_dir_fd=inner, dst_dir_fd=top)
            else:
                os.unlink(entry, dir_fd=inner)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=top)
