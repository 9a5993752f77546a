"""A blob from a registry: into a partial file of the store, from where the last attempt stopped, whoever made it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import aiohttp

from estiba.errors import Corrupt, EstibaError
from estiba.oci.descriptor import Descriptor
from estiba.registry.client.connection import Connection
from estiba.registry.client.failures import NotInRegistry, RegistryUnreachable, UnexpectedContent
from estiba.registry.client.foreign import places
from estiba.registry.client.tokens import Scopes
from estiba.registry.protocol.endpoints import blob_path
from estiba.registry.protocol.ranges import parse_content_range
from estiba.store.blobs.base import DigestMismatch
from estiba.store.blobs.partial import Partial
from estiba.store.store import Store
from estiba.web.client import CONNECTION_ERRORS, is_hopeless, reason, unread

_BUFFER = 1 << 20
_MOST_PARTS = 512  # writev(2) takes 1024
_MOMENT = 0.02
_FIRST_LOOK, _LONGEST_LOOK = 0.02, 0.25


async def claim(store: Store, blob: Descriptor, *, on_wait: Callable[[], None]) -> Partial | None:
    """The partial file of `blob`, ours alone; None as soon as the blob is here.

    Waits while another process fetches it; `on_wait` is called once if so. Raises Unavailable: no space.
    """
    wait = _FIRST_LOOK
    while not store.blobs.has(blob.digest):
        partial = store.partials.take(blob.digest, size=blob.size)
        if partial is not None:
            return partial
        if wait == _FIRST_LOOK:
            on_wait()
        await asyncio.sleep(wait)
        wait = min(wait * 1.5, _LONGEST_LOOK)
    return None


async def fetch_blob(
    connection: Connection,
    repository: str,
    blob: Descriptor,
    store: Store,
    *,
    scopes: Scopes,
    on_bytes: Callable[[int], None] = lambda _: None,
    on_wait: Callable[[], None] = lambda: None,
) -> None:
    """Make sure that `blob` is in the store, verified. What `download` raises, and DigestMismatch, SizeMismatch."""
    while (partial := await claim(store, blob, on_wait=on_wait)) is not None:
        with partial:
            await download(connection, repository, blob, partial, scopes=scopes, on_bytes=on_bytes)
            try:
                await asyncio.get_running_loop().run_in_executor(None, partial.verify)
            except DigestMismatch:
                if not partial.resumed:
                    raise
                continue  # what an earlier process left was damaged: from the start, once
            partial.commit()


async def download(
    connection: Connection,
    repository: str,
    blob: Descriptor,
    partial: Partial,
    *,
    scopes: Scopes,
    on_bytes: Callable[[int], None],
) -> None:
    """Fetch what `partial` lacks of `blob`; nothing is verified. `on_bytes` gets how many bytes are here.

    Raises:
        NotInRegistry, RegistryUnreachable: cut again and again; what has come is kept.
        SizeMismatch, UnexpectedContent: nothing is kept. Unavailable: no space.
    """
    failures = 0
    place, *others = places(connection, repository, blob)
    if partial.received:
        on_bytes(partial.received)
    while not partial.is_whole:
        before = partial.received
        try:
            await _fetch(connection, place, repository, blob, partial, scopes, on_bytes)
        except NotInRegistry:
            if not others:
                raise
            place, *others = others
        except _Cut as cut:
            failures = 0 if partial.received > before else failures + 1
            if failures >= connection.patience.attempts or is_hopeless(cut.error):
                raise RegistryUnreachable(connection.address.url, reason(cut.error)) from cut.error
            if failures:
                await asyncio.sleep(connection.patience.wait(failures))


class _Cut(Exception):
    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


async def _fetch(
    connection: Connection,
    place: str,
    repository: str,
    blob: Descriptor,
    partial: Partial,
    scopes: Scopes,
    on_bytes: Callable[[int], None],
) -> None:
    """One request to `place` for the rest of the blob. Raises _Cut: it ended too early; what came is in `partial`."""
    received = partial.received
    async with connection.request(
        "GET",
        place,
        what=f"{repository}@{blob.digest}",
        scopes=scopes,
        expect=(200, 206) if received else (200,),
        headers={"Range": f"bytes={received}-"} if received else {},
    ) as response:
        try:
            skip = _skip(response, received, blob)
            await _receive(response.content, partial, skip, on_bytes)
        except Corrupt:
            partial.discard()
            raise
    if not partial.is_whole:
        raise _Cut(ConnectionResetError(f"it ended after {partial.received} of {blob.size} bytes"))


async def _receive(stream: aiohttp.StreamReader, partial: Partial, skip: int, on_bytes: Callable[[int], None]) -> None:
    """The body without its first `skip` bytes, into the file."""
    held = _Held(partial, on_bytes)
    error: BaseException | None = None
    try:
        while error is None:
            try:
                part = await stream.readany()
            except CONNECTION_ERRORS as cut:
                error, part = cut, unread(stream)
            is_end = error is not None or (not part and stream.at_eof())
            if skip:
                part, skip = part[skip:], max(skip - len(part), 0)
            if part:
                held.add(part)
            if is_end:
                break
        held.write()
    finally:
        held.close()
    if error is not None:
        raise _Cut(error)


class _Held:
    """What has come and is not in the file yet: at most a megabyte, and nothing for longer than a moment, so that a
    command that is killed loses hardly a byte.
    """

    def __init__(self, partial: Partial, on_bytes: Callable[[int], None]) -> None:
        self._partial = partial
        self._on_bytes = on_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._failure: EstibaError | None = None

    def add(self, part: bytes) -> None:
        """Hold one part more, or write them all. Raises what `Partial.write` does, perhaps for earlier ones."""
        self._parts.append(part)
        self._size += len(part)
        if self._size >= _BUFFER or len(self._parts) >= _MOST_PARTS or self._failure is not None:
            self.write()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_MOMENT, self._write_late)

    def write(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._stop_waiting()
        if self._parts:
            parts, self._parts, self._size = self._parts, [], 0
            self._partial.write(parts)
            self._on_bytes(self._partial.received)

    def close(self) -> None:
        """What is held goes into the file as well, if that is open: another error is on its way."""
        self._stop_waiting()
        if self._parts and self._failure is None and self._partial.descriptor != -1:
            try:
                self._partial.write(self._parts)
            except EstibaError:
                pass  # the file is gone with it
        self._parts = []

    def _write_late(self) -> None:
        self._timer = None
        try:
            self.write()
        except EstibaError as error:
            self._failure = error

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def stream(
    connection: Connection, repository: str, blob: Descriptor, offset: int, *, scopes: Scopes
) -> AsyncGenerator[bytes, None]:
    """The bytes of `blob` from `offset` on, for one who checks the digest; goes on by itself where it is cut.

    Raises:
        NotInRegistry, UnexpectedContent. RegistryUnreachable: cut again and again.
    """
    failures = 0
    while offset < blob.size:
        before = offset
        error: BaseException | None = None
        async with connection.request(
            "GET",
            blob_path(repository, blob.digest),
            what=f"{repository}@{blob.digest}",
            scopes=scopes,
            expect=(200, 206) if offset else (200,),
            headers={"Range": f"bytes={offset}-"} if offset else {},
        ) as response:
            skip = _skip(response, offset, blob)
            while error is None:
                try:
                    part = await response.content.readany()
                except CONNECTION_ERRORS as cut:
                    error, part = cut, unread(response.content)
                is_end = not part and response.content.at_eof()
                if skip:
                    part, skip = part[skip:], max(skip - len(part), 0)
                if part:
                    offset += len(part)
                    yield part
                if is_end:
                    break
        if offset < blob.size:
            error = error or ConnectionResetError(f"it ended after {offset} of {blob.size} bytes")
            failures = 0 if offset > before else failures + 1
            if failures >= connection.patience.attempts or is_hopeless(error):
                raise RegistryUnreachable(connection.address.url, reason(error)) from error
            if failures:
                await asyncio.sleep(connection.patience.wait(failures))


def _skip(response: aiohttp.ClientResponse, received: int, blob: Descriptor) -> int:
    """How many bytes of the answer are here already: a server may ignore `Range` and begin anew."""
    if response.status == 200:
        if response.content_length not in (None, blob.size):
            raise UnexpectedContent(
                f"{blob.digest}: expected {blob.size} bytes, the registry announces {response.content_length}"
            )
        return received
    found = parse_content_range(response.headers.get("Content-Range", ""))
    if found is None or found[0].start != received or found[1] not in (None, blob.size):
        raise UnexpectedContent(
            f"{blob.digest}: asked for bytes from {received} of {blob.size}, "
            f"got {response.headers.get('Content-Range', 'no Content-Range')!r}"
        )
    return 0


async def read_small(
    connection: Connection, repository: str, blob: Descriptor, store: Store, *, limit: int, scopes: Scopes
) -> bytes:
    """A document, such as a configuration, into the store and into memory.

    Raises:
        UnexpectedContent: it is larger than `limit`. Else as `fetch_blob`.
    """
    if blob.size > limit:
        raise UnexpectedContent(f"{blob.digest} has {blob.size} bytes, more than the limit of {limit}")
    await fetch_blob(connection, repository, blob, store, scopes=scopes)
    return store.blobs.read(blob.digest, limit=limit)
