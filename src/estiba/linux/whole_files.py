"""Files that are there whole or not at all: written beside their place, and put there at the end."""

from __future__ import annotations

import os

from estiba.errors import InvalidInput
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import BinaryIO

_BUFFER = 1 << 16  # for what is small; a larger piece passes by it


class WholeFile:
    """``with WholeFile(path) as out:`` gives a binary file; what `path` was stays so until the block has ended well.

    A device or a pipe keeps its place, and is written to as the block goes on. `mode` is that of a new file.

    Raises:
        InvalidInput: there cannot be such a file. OSError: it cannot be written.
    """

    def __init__(self, path: str, *, mode: int = 0o666) -> None:
        self._path = path
        self._mode = mode
        self._temporary = ""

    def __enter__(self) -> BinaryIO:
        path = self._path
        above = os.path.dirname(os.path.abspath(path))
        if os.path.isdir(path) or not os.path.isdir(above):
            why = "it is a directory" if os.path.isdir(path) else f"there is no directory {above}"
            raise InvalidInput(f"cannot write {path}: {why}", remedy="Give a file in a directory that exists.")
        flags = os.O_WRONLY | os.O_CLOEXEC
        if os.path.exists(path) and not os.path.isfile(path):
            descriptor = os.open(path, flags)
        else:
            self._temporary = f"{path}.{os.getpid()}.partial"
            descriptor = os.open(self._temporary, flags | os.O_CREAT | os.O_EXCL, self._mode)
        self._file = open(descriptor, "wb", buffering=_BUFFER)
        return self._file

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
            if kind is None and self._temporary:
                os.rename(self._temporary, self._path)
                self._temporary = ""
        except OSError:
            if kind is None:  # else what came first is told
                raise
        finally:
            if self._temporary:
                os.unlink(self._temporary)
