"""The catalogue's front door: reads at once, changes awaited until they are durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import cast

import sqlalchemy as sa

from estiba.oci.digest import Digest
from estiba.registry.protocol import errors
from estiba.registry.protocol.errors import ProtocolError
from estiba.registry.protocol.pagination import Page
from estiba.registry.server.metadata import accounting, reads, writes
from estiba.registry.server.metadata.database import Database
from estiba.registry.server.metadata.values import LinkedBlob, Listing, NewManifest, StoredManifest


class Catalogue:
    """What the registry knows, in `database`. `clock` gives Unix seconds."""

    def __init__(self, database: Database, *, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock

    # Questions

    def manifest(self, repository: str, reference: str | Digest) -> StoredManifest:
        """The manifest under a tag or a digest, by one query.

        Raises:
            ProtocolError: MANIFEST_UNKNOWN, or NAME_UNKNOWN where the repository does not exist.
        """
        if isinstance(reference, Digest):
            row = self._database.read_one(reads.MANIFEST_BY_DIGEST, repository=repository, digest=str(reference))
        else:
            row = self._database.read_one(
                reads.MANIFEST_BY_TAG, repository=repository, folded=reference.lower(), tag=reference
            )
        if row is None:
            self._repository(repository)
            raise ProtocolError(
                errors.MANIFEST_UNKNOWN,
                f"{repository} has no manifest {reference}",
                detail={"name": repository, "reference": str(reference)},
            )
        return StoredManifest._make(cast("tuple[str, str, bytes]", row))

    def blob(self, repository: str, digest: Digest) -> LinkedBlob:
        """A blob as seen through a repository.

        Raises:
            ProtocolError: BLOB_UNKNOWN, or NAME_UNKNOWN where the repository does not exist.
        """
        row = self._database.read_one(reads.BLOB, repository=repository, digest=str(digest))
        if row is None:
            self._repository(repository)
            raise ProtocolError(errors.BLOB_UNKNOWN, detail={"name": repository, "digest": str(digest)})
        return LinkedBlob._make(cast("tuple[int, int]", row))

    def tags(self, repository: str, page: Page) -> Listing:
        """Raises: ProtocolError: NAME_UNKNOWN."""
        repository_id = self._repository(repository)
        rows = self._database.read_all(
            reads.TAGS,
            repository_id=repository_id,
            folded=page.last.lower(),
            last=page.last,
            number=page.number + 1,
        )
        return _listing(rows, page)

    def repositories(self, page: Page) -> Listing:
        rows = self._database.read_all(reads.REPOSITORIES, last=page.last, number=page.number + 1)
        return _listing(rows, page)

    def referrers(self, repository: str, subject: Digest) -> list[StoredManifest]:
        """The manifests whose subject is `subject`, the oldest first; none for a repository that does not exist."""
        rows = self._database.read_all(reads.REFERRERS, repository=repository, subject=str(subject))
        return [StoredManifest._make(cast("tuple[str, str, bytes]", row)) for row in rows]

    def check_upload(self, repository: str, session: str) -> None:
        """Raises: ProtocolError: BLOB_UPLOAD_UNKNOWN, where the session is over or another repository's."""
        if self._database.read_one(reads.UPLOAD, repository=repository, session=session) is None:
            raise ProtocolError(errors.BLOB_UPLOAD_UNKNOWN, detail={"session": session})

    def _repository(self, name: str) -> int:
        row = self._database.read_one(reads.REPOSITORY, repository=name)
        if row is None:
            raise ProtocolError(errors.NAME_UNKNOWN, f"there is no repository {name}", detail={"name": name})
        return cast("int", row[0])

    # Changes

    async def begin_upload(self, repository: str, session: str) -> None:
        await self._database.write(
            partial(writes.begin_upload, repository=repository, session=session, now=self._clock())
        )

    async def end_upload(self, session: str) -> None:
        await self._database.write(partial(writes.end_upload, session=session))

    async def link_blob(
        self, repository: str, digest: Digest, size: int, *, session: str, restore: Callable[[], None]
    ) -> None:
        """Let a stored blob be read through `repository`; `restore` is called while gc is kept out."""

        def operation(connection: sa.Connection) -> None:
            restore()
            writes.link_blob(
                connection, repository=repository, digest=digest, size=size, session=session, now=self._clock()
            )

        await self._database.write(operation)

    async def mount_blob(self, repository: str, digest: Digest, *, source: str | None) -> bool:
        return await self._database.write(
            partial(writes.mount_blob, repository=repository, digest=digest, source=source, now=self._clock())
        )

    async def touch_blob(self, repository: str, digest: Digest) -> bool:
        return await self._database.write(
            partial(writes.touch_blob, repository=repository, digest=digest, now=self._clock())
        )

    async def unlink_blob(self, repository: str, digest: Digest) -> None:
        await self._database.write(partial(writes.unlink_blob, repository=repository, digest=digest))

    async def put_manifest(self, repository: str, new: NewManifest, *, by: str) -> None:
        await self._database.write(
            partial(writes.put_manifest, new=new, repository=repository, now=self._clock(), by=by)
        )

    async def delete_manifest(self, repository: str, reference: str | Digest, *, by: str) -> None:
        """Delete a tag, or a manifest with all its tags."""
        now = self._clock()
        if isinstance(reference, Digest):
            await self._database.write(
                partial(writes.delete_manifest, repository=repository, digest=reference, now=now, by=by)
            )
        else:
            await self._database.write(partial(writes.delete_tag, repository=repository, tag=reference, now=now, by=by))

    async def usage(self) -> accounting.Usage:
        return await asyncio.get_running_loop().run_in_executor(None, self._database.view, accounting.usage)


def _listing(rows: list[tuple[str | int | bytes | None, ...]], page: Page) -> Listing:
    names = tuple(cast("str", row[0]) for row in rows[: page.number])
    return Listing(names, len(rows) > page.number and page.number > 0)
