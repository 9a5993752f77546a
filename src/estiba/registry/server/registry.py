"""The registry itself: storage and catalogue joined, in the order that keeps both whole.

A blob before the row that names it, a row before the answer to the client; removal in the opposite order.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from estiba.oci.digest import Digest
from estiba.registry.server.metadata.catalogue import Catalogue
from estiba.registry.server.storage.base import Storage, Upload

T = TypeVar("T")


class Registry(NamedTuple):
    """What the handlers work on. `grace` (s) is how long something unused is kept; `clock` gives Unix seconds."""

    storage: Storage
    catalogue: Catalogue
    grace: int
    clock: Callable[[], int]

    async def begin_upload(self, repository: str) -> str:
        """A new session."""
        session = secrets.token_hex(16)
        self.storage.create_upload(session)
        try:
            await self.catalogue.begin_upload(repository, session)
        except BaseException:
            self.storage.discard_upload(session)
            raise
        return session

    def open_upload(self, repository: str, session: str) -> Upload:
        """Raises: ProtocolError: BLOB_UPLOAD_UNKNOWN. UnknownUpload."""
        self.catalogue.check_upload(repository, session)
        return self.storage.open_upload(session)

    async def finish_upload(self, repository: str, session: str, digest: Digest) -> int:
        """The session's bytes become a blob of `repository`; gives its size.

        Raises:
            DigestMismatch: the session is gone, nothing was kept.
        """
        try:
            size = await in_thread(self.storage.store, session, digest)
            await self.catalogue.link_blob(
                repository,
                digest,
                size,
                session=session,
                restore=lambda: self.storage.restore(session, digest),
            )
        except BaseException:
            await self.cancel_upload(session)
            raise
        await in_thread(self.storage.discard_upload, session)
        return size

    async def cancel_upload(self, session: str) -> None:
        """End a session and forget its bytes. The bytes go even where the catalogue cannot be written."""
        await in_thread(self.storage.discard_upload, session)
        await self.catalogue.end_upload(session)


async def in_thread(function: Callable[..., T], *arguments: object) -> T:
    """Run what may block; a caller that is cancelled does not leave it half done."""
    loop = asyncio.get_running_loop()
    return await asyncio.shield(loop.run_in_executor(None, function, *arguments))
