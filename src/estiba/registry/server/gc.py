"""Garbage collection, while pushes and pulls go on.

A blob is taken in four steps, of which the first two are one transaction that proves that nothing refers to it:

    1. the row is deleted            a kill here: nothing has happened
    2. the bytes are hidden          a kill here: `recover` brings them back, for the row is still there
    3. the transaction is committed  a kill here: `recover` destroys them, for the row is gone
    4. the bytes are destroyed

Whoever stores the same blob meanwhile commits after or before: before, and the proof fails; after, and it puts the
bytes back in its own transaction (`Storage.restore`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import sqlalchemy as sa

from estiba.registry.server.metadata import collect
from estiba.registry.server.metadata.database import Database
from estiba.registry.server.storage.base import Storage, StoredBlob, StoredUpload

_LARGEST_PORTION = 500


class Collected(NamedTuple):
    """What a run freed; `bytes` counts blobs and uploads."""

    links: int
    blobs: int
    uploads: int
    bytes: int


class Collector:
    """Runs on `database` and `storage`, in a worker thread or in a process of its own. `clock` gives Unix seconds."""

    def __init__(self, database: Database, storage: Storage, *, clock: Callable[[], int]) -> None:
        self._database = database
        self._storage = storage
        self._clock = clock

    def recover(self) -> None:
        """Finish what a killed run left: hidden bytes whose row is there come back, the others go."""

        def operation(connection: sa.Connection) -> None:
            hidden = list(self._storage.hidden())
            known = collect.known(connection, hidden)
            for digest in hidden:
                if digest in known:
                    self._storage.reveal(digest)
                else:
                    self._storage.destroy(digest)

        if any(True for _ in self._storage.hidden()):
            self._database.write_now(operation)

    def run(self, *, grace: int, upload_grace: int) -> Collected:
        """Free what has been unused for `grace` seconds, and uploads that have not grown for `upload_grace`."""
        self.recover()
        before = self._clock() - grace
        links = self._database.write_now(partial(collect.drop_unused_links, before=before))
        blobs = freed = 0
        while portion := self._database.write_now(partial(self._take, before=before)):
            for blob in portion:
                self._storage.destroy(blob.digest)
                freed += blob.size
            blobs += len(portion)
        stray_blobs, stray_bytes = self._take_strays()
        uploads, upload_bytes = self._expire(before=self._clock() - upload_grace)
        return Collected(links, blobs + stray_blobs, uploads, freed + stray_bytes + upload_bytes)

    def _take(self, connection: sa.Connection, *, before: int) -> list[StoredBlob]:
        portion = collect.unreferenced(connection, before=before)
        collect.forget(connection, [blob.digest for blob in portion])
        for blob in portion:
            self._storage.hide(blob.digest)
        return portion

    def _take_strays(self) -> tuple[int, int]:
        """Blobs in the storage that no row names: their push was killed between the two."""
        taken: list[StoredBlob] = []
        for portion in _portions(list(self._storage.blobs()), of=_LARGEST_PORTION):
            taken += self._database.write_now(partial(self._hide_strays, portion=portion))
        for blob in taken:
            self._storage.destroy(blob.digest)
        return len(taken), sum(blob.size for blob in taken)

    def _hide_strays(self, connection: sa.Connection, *, portion: list[StoredBlob]) -> list[StoredBlob]:
        known = collect.known(connection, [blob.digest for blob in portion])
        strays = [blob for blob in portion if blob.digest not in known]
        for blob in strays:
            self._storage.hide(blob.digest)
        return strays

    def _expire(self, *, before: int) -> tuple[int, int]:
        old = [upload for upload in self._storage.uploads() if upload.touched <= before]
        for upload in old:
            self._storage.discard_upload(upload.session)
        alive = {upload.session for upload in self._storage.uploads()}
        self._database.write_now(partial(_end_uploads, old=old, alive=alive, before=before))
        return len(old), sum(upload.size for upload in old)


def _end_uploads(connection: sa.Connection, *, old: list[StoredUpload], alive: set[str], before: int) -> None:
    """Forget sessions whose bytes are gone."""
    gone = [session for session in collect.old_uploads(connection, before=before) if session not in alive]
    collect.end_uploads(connection, sorted({*gone, *(upload.session for upload in old)}))


def _portions(blobs: list[StoredBlob], *, of: int) -> list[list[StoredBlob]]:
    return [blobs[start : start + of] for start in range(0, len(blobs), of)]
