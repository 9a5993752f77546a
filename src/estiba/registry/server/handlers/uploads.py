"""Uploads: the session's life from POST to PUT (distribution-spec, "Pushing blobs", "Mounting a blob")."""

from __future__ import annotations

import secrets

from aiohttp import web

from estiba.oci.digest import Digest
from estiba.registry.protocol import errors
from estiba.registry.protocol.endpoints import blob_path, upload_path
from estiba.registry.protocol.errors import ProtocolError
from estiba.registry.protocol.names import check_repository, check_session, parse_digest
from estiba.registry.protocol.ranges import received
from estiba.registry.protocol.uploads import plan_chunk
from estiba.registry.server.answers import answer
from estiba.registry.server.handlers.exchange import Exchange
from estiba.registry.server.registry import in_thread
from estiba.web.bodies import receive


async def post(exchange: Exchange) -> web.StreamResponse:
    """Begin a session; or mount a blob of another repository; or take the whole blob at once."""
    repository, query = exchange.repository, exchange.request.query
    if "mount" in query:
        digest = parse_digest(query["mount"])
        source = query.get("from")
        if source is not None:
            check_repository(source)
        if await exchange.registry.catalogue.mount_blob(repository, digest, source=source):
            return _created(repository, digest)
    elif "digest" in query:
        return await _take_whole(exchange, repository, parse_digest(query["digest"]))
    session = await exchange.registry.begin_upload(repository)
    return _accepted(repository, session, 0)


async def status(exchange: Exchange) -> web.StreamResponse:
    repository, session = exchange.repository, check_session(exchange.argument)
    exchange.registry.catalogue.check_upload(repository, session)
    size = exchange.registry.storage.upload_size(session)
    return answer(204, _headers(repository, session, size))


async def patch(exchange: Exchange) -> web.StreamResponse:
    """Append a chunk, or a stream of any length."""
    size = await _append(exchange)
    return _accepted(exchange.repository, exchange.argument, size)


async def put(exchange: Exchange) -> web.StreamResponse:
    """Append the last bytes, if any, and close the session."""
    text = exchange.request.query.get("digest")
    if not text:
        raise ProtocolError(errors.DIGEST_INVALID, "the query needs digest=ALGORITHM:HEX to close the upload")
    digest = parse_digest(text)
    if exchange.request.can_read_body or "Content-Range" in exchange.request.headers:
        await _append(exchange)
    else:
        exchange.registry.catalogue.check_upload(exchange.repository, check_session(exchange.argument))
    await exchange.registry.finish_upload(exchange.repository, exchange.argument, digest)
    return _created(exchange.repository, digest)


async def delete(exchange: Exchange) -> web.StreamResponse:
    repository, session = exchange.repository, check_session(exchange.argument)
    exchange.registry.catalogue.check_upload(repository, session)
    await exchange.registry.cancel_upload(session)
    return answer(204)


async def _append(exchange: Exchange) -> int:
    """The body goes to the end of the session; gives the session's new size."""
    repository, session = exchange.repository, check_session(exchange.argument)
    upload = exchange.registry.open_upload(repository, session)
    offset = upload.size
    chunk = plan_chunk(
        content_range=exchange.request.headers.get("Content-Range"),
        content_length=exchange.request.content_length,
        size=offset,
        repository=repository,
        session=session,
    )
    try:
        length = await receive(exchange.request, upload.append)
    except OSError:
        await exchange.registry.cancel_upload(session)
        raise
    if chunk.length is not None and length != chunk.length:
        await in_thread(upload.truncate, offset)
        raise ProtocolError(errors.SIZE_INVALID, f"expected {chunk.length} bytes, got {length}")
    return upload.size


async def _take_whole(exchange: Exchange, repository: str, digest: Digest) -> web.StreamResponse:
    """The session lives within this request only, so the catalogue need not know it."""
    storage, session = exchange.registry.storage, secrets.token_hex(16)
    storage.create_upload(session)
    try:
        await receive(exchange.request, storage.open_upload(session).append)
    except BaseException:
        await in_thread(storage.discard_upload, session)
        raise
    await exchange.registry.finish_upload(repository, session, digest)
    return _created(repository, digest)


def _created(repository: str, digest: Digest) -> web.Response:
    return answer(201, {"Location": blob_path(repository, digest), "Docker-Content-Digest": str(digest)})


def _accepted(repository: str, session: str, size: int) -> web.Response:
    return answer(202, _headers(repository, session, size))


def _headers(repository: str, session: str, size: int) -> dict[str, str]:
    return {
        "Location": upload_path(repository, session),
        "Range": received(size),
        "Docker-Upload-UUID": session,
        "Content-Length": "0",
    }
