"""A source that tells how far each of its layers has been read."""

from __future__ import annotations

import re
from collections.abc import Iterator

from estiba.image import progress as statuses
from estiba.image.archive.source import Source
from estiba.image.progress import Progress
from estiba.oci.digest import Digest

_HEX = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_DOCUMENT = (b"{", b"[")


def told(source: Source, progress: Progress | None) -> Source:
    """The same files; `progress` hears of those that are no documents."""
    return source if progress is None else _Told(source, progress)


class _Told:
    def __init__(self, source: Source, progress: Progress) -> None:
        self.where = source.where
        self._source = source
        self._progress = progress

    def has(self, name: str) -> bool:
        return self._source.has(name)

    def size(self, name: str) -> int:
        return self._source.size(name)

    def pieces(self, name: str) -> Iterator[bytes]:
        digest = _digest(name)
        total = self._source.size(name)
        done = 0
        is_document = False
        for piece in self._source.pieces(name):
            is_document = is_document or (not done and piece.startswith(_DOCUMENT))
            done += len(piece)
            yield piece
            if not is_document:
                self._progress.blob(digest, statuses.READING, done=done, total=total)
        if not is_document:
            self._progress.blob(digest, statuses.READ)


def _digest(name: str) -> Digest:
    """What a layer is shown as: archives name it by a digest, or by an ID that looks like one."""
    found = _HEX.search(name)
    return Digest("sha256", found[0]) if found else Digest.of(name.encode())
