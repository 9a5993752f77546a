"""A blob from the store to a registry: asked for, mounted, or sent in one stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from urllib.parse import quote, urljoin

from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.registry.client.connection import Connection
from estiba.registry.client.failures import NotInRegistry, RegistryFailed, RegistryUnreachable, UnexpectedContent
from estiba.registry.client.tokens import Scopes
from estiba.registry.protocol.endpoints import blob_path, uploads_path
from estiba.store.blobs.base import BlobStore
from estiba.web.client import parts_of


async def exists(connection: Connection, repository: str, digest: Digest, *, scopes: Scopes) -> bool:
    try:
        async with connection.request(
            "HEAD", blob_path(repository, digest), what=repository, scopes=scopes, expect=(200,)
        ):
            return True
    except NotInRegistry:
        return False


async def mount(connection: Connection, repository: str, digest: Digest, *, source: str, scopes: Scopes) -> str | None:
    """Try to take the blob from the repository `source` (distribution-spec, "Mounting a blob from another repository").

    None: it is mounted. Else the registry has begun an upload: its address.
    """
    query = f"?mount={quote(str(digest), safe='')}&from={quote(source, safe='')}"
    async with connection.request(
        "POST", uploads_path(repository) + query, what=repository, scopes=scopes, expect=(201, 202)
    ) as response:
        if response.status == 201:
            return None
        return _location(connection, response.headers.get("Location", ""), str(response.url))


async def begin(connection: Connection, repository: str, *, scopes: Scopes) -> str:
    """Begin an upload; gives its address."""
    async with connection.request(
        "POST",
        uploads_path(repository),
        what=repository,
        scopes=scopes,
        expect=(202,),
        headers={"Content-Length": "0"},
    ) as response:
        return _location(connection, response.headers.get("Location", ""), str(response.url))


async def send(
    connection: Connection,
    repository: str,
    blob: Descriptor,
    blobs: BlobStore,
    *,
    location: str,
    scopes: Scopes,
    on_bytes: Callable[[int], None],
) -> None:
    """Send the whole blob to an upload's address and close it; one that breaks is begun again from the start.

    `on_bytes` gets how many were handed to the connection.
    """
    total = connection.patience.attempts
    for attempt in range(1, total + 1):
        try:
            await _put(connection, repository, blob, blobs, location, scopes, on_bytes)
        except (RegistryUnreachable, RegistryFailed, NotInRegistry):
            if attempt == total:
                raise
            location = await begin(connection, repository, scopes=scopes)
        else:
            return


async def _put(
    connection: Connection,
    repository: str,
    blob: Descriptor,
    blobs: BlobStore,
    location: str,
    scopes: Scopes,
    on_bytes: Callable[[int], None],
) -> None:
    sent = 0

    def on_part(length: int) -> None:
        nonlocal sent
        sent += length
        on_bytes(sent)

    def body() -> AsyncIterator[bytes]:
        nonlocal sent
        sent = 0
        return parts_of(files.enter_context(blobs.open(blob.digest)), on_part)

    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
    target = f"{location}{'&' if '?' in location else '?'}digest={quote(str(blob.digest), safe='')}"
    with ExitStack() as files:
        async with connection.request(
            "PUT",
            target,
            what=f"{repository}@{blob.digest}",
            scopes=scopes,
            expect=(201, 204),
            headers=headers,
            body=body,
            attempts=1,
        ):
            return


def _location(connection: Connection, text: str, base: str) -> str:
    if not text:
        raise UnexpectedContent(f"the registry {connection.address.registry} began an upload without a Location")
    return urljoin(base, text)
