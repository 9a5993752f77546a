"""What moving an image tells while it goes on. Who shows it, and how, is decided above."""

from __future__ import annotations

from estiba.oci.digest import Digest
from estiba.values import Protocol

READING = "Loading layer"
READ = "Layer loaded"
WRITING = "Saving"
WRITTEN = "Saved"
EXISTS_HERE = "Already exists"


class Progress(Protocol):
    def line(self, text: str) -> None:
        """A sentence about the whole."""

    def blob(self, digest: Digest, status: str, *, done: int = 0, total: int = 0) -> None:
        """What a blob is at; `done` of `total` bytes."""


class Silence:
    """Tells nothing."""

    def line(self, text: str) -> None:
        pass

    def blob(self, digest: Digest, status: str, *, done: int = 0, total: int = 0) -> None:
        pass
