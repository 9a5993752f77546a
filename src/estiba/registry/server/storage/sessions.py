"""What a process remembers of growing uploads: who may write, and the hash of what came so far."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash


@dataclass(slots=True)
class Progress:
    """The hash over the first `hashed` bytes of an upload, and the number of its present holder."""

    hash: _Hash = field(default_factory=hashlib.sha256)
    hashed: int = 0
    holder: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def update(self, data: bytes, *, offset: int) -> None:
        """Hash on; bytes that do not follow what was hashed (a restart lies between) make the hash useless."""
        if self.hashed == offset:
            self.hash.update(data)
            self.hashed += len(data)

    def restart(self) -> None:
        self.hash = hashlib.sha256()
        self.hashed = 0

    def sha256_of(self, size: int) -> str | None:
        """The digest in hex if exactly `size` bytes were hashed, else None: the bytes must be read again."""
        return self.hash.hexdigest() if self.hashed == size else None


class Sessions:
    """One `Progress` for each upload that this process has seen."""

    def __init__(self) -> None:
        self._progress: dict[str, Progress] = {}
        self._lock = threading.Lock()

    def get(self, session: str) -> Progress:
        with self._lock:
            return self._progress.setdefault(session, Progress())

    def forget(self, session: str) -> None:
        with self._lock:
            progress = self._progress.pop(session, None)
        if progress:
            progress.holder += 1
