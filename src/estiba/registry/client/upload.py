"""A blob to a registry: asked for, mounted, or sent in one stream, which goes on where it was cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from urllib.parse import quote, urljoin

from estiba.errors import EstibaError
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.registry.client.connection import Connection
from estiba.registry.client.failures import (
    NotInRegistry,
    Refused,
    RegistryFailed,
    RegistryUnreachable,
    UnexpectedContent,
)
from estiba.registry.client.tokens import Scopes
from estiba.registry.protocol.endpoints import blob_path, uploads_path
from estiba.registry.protocol.ranges import offset_of


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


_MOST_LOOKS = 10
_MOST_TURNS = 1000  # of a millisecond, for a cancelled task to end

Body = Callable[[int], AsyncGenerator[bytes, None]]
"""Gives a blob's bytes from an offset on; each call begins anew."""


async def send(
    connection: Connection,
    repository: str,
    blob: Descriptor,
    body: Body,
    *,
    location: str,
    scopes: Scopes,
    on_bytes: Callable[[int], None],
    offset: int = 0,
) -> None:
    """Send the blob to an upload's address, which holds `offset` bytes of it, and close the upload.

    One that is cut goes on where the registry says that it stands, or from the start where it does not say. `on_bytes`
    gets how many were handed to the connection.

    Raises:
        RegistryUnreachable, RegistryFailed: cut again and again, without getting on. AccessDenied, Refused.
    """
    failures = 0
    while True:
        before = offset
        try:
            await _send_rest(connection, repository, blob, body, location, offset, scopes, on_bytes)
        except (RegistryUnreachable, RegistryFailed, NotInRegistry, Refused) as error:
            if (isinstance(error, Refused) and not before) or failures + 1 >= connection.patience.attempts:
                raise
            location, offset = await _settled(connection, repository, location, scopes=scopes) or ("", 0)
            failures = 0 if offset > before else failures + 1
            if failures and not isinstance(error, NotInRegistry):
                await asyncio.sleep(connection.patience.wait(failures))
            location = location or await begin(connection, repository, scopes=scopes)
        else:
            return


async def _settled(connection: Connection, repository: str, location: str, *, scopes: Scopes) -> tuple[str, int] | None:
    """The same as `resume`, as soon as the registry has digested what came before the cut and says the same twice."""
    last: tuple[str, int] | None = None
    for _ in range(_MOST_LOOKS):
        found = await resume(connection, repository, last[0] if last else location, scopes=scopes)
        if found is None or (last is not None and found[1] == last[1]):
            return found
        last = found
        await asyncio.sleep(connection.patience.first_wait)
    return last


async def resume(connection: Connection, repository: str, location: str, *, scopes: Scopes) -> tuple[str, int] | None:
    """Where an upload goes on: its address now, and how many bytes it holds; None where the registry does not know it.

    Some registries refuse the address that they gave before the cut: that is no error, only a new beginning.
    """
    try:
        async with connection.request(
            "GET", location, what=repository, scopes=scopes, expect=(204, 200), attempts=2
        ) as response:
            offset = offset_of(response.headers.get("Range", ""))
            address = response.headers.get("Location", "")
            return (urljoin(str(response.url), address) if address else location, offset or 0)
    except EstibaError:
        return None


async def _send_rest(
    connection: Connection,
    repository: str,
    blob: Descriptor,
    body: Body,
    location: str,
    offset: int,
    scopes: Scopes,
    on_bytes: Callable[[int], None],
) -> None:
    """All in one request; or what is missing as a chunk, and the end of the upload in a second one."""
    if offset:
        headers = {"Content-Range": f"{offset}-{blob.size - 1}"}
        if offset < blob.size:
            location = await _body(
                connection, "PATCH", location, repository, blob, body, offset, scopes, on_bytes, headers, (202, 204)
            )
        offset = blob.size
    separator = "&" if "?" in location else "?"
    target = f"{location}{separator}digest={quote(str(blob.digest), safe='')}"
    await _body(connection, "PUT", target, repository, blob, body, offset, scopes, on_bytes, {}, (201, 204))


async def _body(
    connection: Connection,
    method: str,
    target: str,
    repository: str,
    blob: Descriptor,
    body: Body,
    offset: int,
    scopes: Scopes,
    on_bytes: Callable[[int], None],
    more_headers: dict[str, str],
    expect: tuple[int, ...],
) -> str:
    """One request with the blob from `offset` on; gives the upload's address after it."""

    begun: list[AsyncGenerator[bytes, None]] = []

    async def counted() -> AsyncGenerator[bytes, None]:
        sent = offset
        async with aclosing(body(offset)) as parts:
            async for part in parts:
                yield part
                sent += len(part)
                on_bytes(sent)

    def begin_body() -> AsyncIterator[bytes]:
        begun.append(counted())
        return begun[-1]

    rest = blob.size - offset
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(rest), **more_headers}
    try:
        async with connection.request(
            method,
            target,
            what=f"{repository}@{blob.digest}",
            scopes=scopes,
            expect=expect,
            headers=headers,
            body=begin_body if rest else b"",
            attempts=1,
        ) as response:
            address = response.headers.get("Location", "")
            return urljoin(str(response.url), address) if address else target
    finally:
        for each in begun:
            await _ended(each)


async def _ended(body: AsyncGenerator[bytes, None]) -> None:
    """Close a body that the connection has let go of in the middle: its file is closed now, not by chance."""
    for _ in range(_MOST_TURNS):
        try:
            await body.aclose()
        except RuntimeError:  # the connection's own task is still in it, and has been cancelled
            await asyncio.sleep(0.001)
        else:
            return


def _location(connection: Connection, text: str, base: str) -> str:
    if not text:
        raise UnexpectedContent(f"the registry {connection.address.registry} began an upload without a Location")
    return urljoin(base, text)
