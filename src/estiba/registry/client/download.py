"""A blob from a registry into the store: verified while it comes, resumed where it was cut."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp

from estiba.oci.descriptor import Descriptor
from estiba.registry.client.connection import Connection
from estiba.registry.client.failures import RegistryUnreachable, UnexpectedContent
from estiba.registry.client.tokens import Scopes
from estiba.registry.protocol.endpoints import blob_path
from estiba.registry.protocol.ranges import parse_content_range
from estiba.store.blobs.base import BlobStore, BlobWriter
from estiba.web.client import CONNECTION_ERRORS, is_hopeless, reason

_BUFFER = 1 << 20


async def download(
    connection: Connection,
    repository: str,
    blob: Descriptor,
    blobs: BlobStore,
    *,
    scopes: Scopes,
    on_bytes: Callable[[int], None],
) -> None:
    """Fetch `blob` and commit it. `on_bytes` gets how many are here.

    Raises:
        NotInRegistry, RegistryUnreachable: cut again and again. DigestMismatch, SizeMismatch: nothing is kept.
    """
    loop = asyncio.get_running_loop()
    writer = blobs.writer(expected=blob.digest, size=blob.size)
    with writer:
        received = failures = 0
        while received < blob.size or not blob.size:
            before = received
            try:
                received = await _fetch(connection, repository, blob, writer, received, scopes, on_bytes)
                break
            except _Cut as cut:
                received = cut.received
                failures = 0 if received > before else failures + 1
                if failures >= connection.patience.attempts or is_hopeless(cut.error):
                    raise RegistryUnreachable(connection.address.url, reason(cut.error)) from cut.error
                await asyncio.sleep(connection.patience.wait(failures + 1))
        await loop.run_in_executor(None, writer.commit)


class _Cut(Exception):
    def __init__(self, received: int, error: BaseException) -> None:
        super().__init__(received)
        self.received = received
        self.error = error


async def _fetch(
    connection: Connection,
    repository: str,
    blob: Descriptor,
    writer: BlobWriter,
    received: int,
    scopes: Scopes,
    on_bytes: Callable[[int], None],
) -> int:
    """The rest of the blob from byte `received` on; gives how many there are then.

    Raises:
        _Cut: the connection ended too early.
    """
    headers = {"Range": f"bytes={received}-"} if received else {}
    async with connection.request(
        "GET",
        blob_path(repository, blob.digest),
        what=f"{repository}@{blob.digest}",
        scopes=scopes,
        expect=(200, 206) if received else (200,),
        headers=headers,
    ) as response:
        skip = _skip(response, received, blob)
        loop = asyncio.get_running_loop()
        parts: list[bytes] = []
        held = 0
        error: BaseException | None = None
        stream = response.content
        while error is None:
            try:
                part = await stream.readany()
            except CONNECTION_ERRORS as cut:
                error = cut
                part = b""
            if skip:
                part, skip = part[skip:], max(skip - len(part), 0)
                if not part and not stream.at_eof():
                    continue
            if part:
                parts.append(part)
                held += len(part)
            if held >= _BUFFER or (parts and (not part or error)):
                await loop.run_in_executor(None, writer.write, b"".join(parts))
                received += held
                parts, held = [], 0
                on_bytes(received)
            if not part and error is None and stream.at_eof():
                break
        if error is not None:
            raise _Cut(received, error)
        if received < blob.size:
            raise _Cut(received, ConnectionResetError(f"it ended after {received} of {blob.size} bytes"))
        return received


def _skip(response: aiohttp.ClientResponse, received: int, blob: Descriptor) -> int:
    """How many bytes of the answer are here already: a server may ignore `Range` and begin anew."""
    if response.status == 200:
        return received
    found = parse_content_range(response.headers.get("Content-Range", ""))
    if found is None or found[0].start != received or found[1] not in (None, blob.size):
        raise UnexpectedContent(
            f"{blob.digest}: asked for bytes from {received} of {blob.size}, "
            f"got {response.headers.get('Content-Range', 'no Content-Range')!r}"
        )
    return 0


async def read_small(
    connection: Connection, repository: str, blob: Descriptor, blobs: BlobStore, *, limit: int, scopes: Scopes
) -> bytes:
    """A document, such as a configuration, into the store and into memory.

    Raises:
        UnexpectedContent: it is larger than `limit`. Else as `download`.
    """
    if blob.size > limit:
        raise UnexpectedContent(f"{blob.digest} has {blob.size} bytes, more than the limit of {limit}")
    if not blobs.has(blob.digest):
        await download(connection, repository, blob, blobs, scopes=scopes, on_bytes=lambda _: None)
    return blobs.read(blob.digest, limit=limit)
