"""Blobs: HEAD, GET with ranges, DELETE (distribution-spec, "Pulling blobs", "Deleting Blobs")."""

from __future__ import annotations

from aiohttp import web

from estiba.registry.protocol import errors, ranges
from estiba.registry.protocol.errors import ProtocolError
from estiba.registry.protocol.names import parse_digest
from estiba.registry.server.answers import answer, with_standing
from estiba.registry.server.handlers.exchange import Exchange
from estiba.web.files import send_file


async def head(exchange: Exchange) -> web.StreamResponse:
    repository, digest = exchange.repository, parse_digest(exchange.argument)
    registry = exchange.registry
    found = registry.catalogue.blob(repository, digest)
    # Whoever asks may be about to push a manifest that needs the blob: gc must wait for it.
    if found.linked_at < registry.clock() - registry.grace // 2 and not await registry.catalogue.touch_blob(
        repository, digest
    ):
        raise ProtocolError(errors.BLOB_UNKNOWN, detail={"digest": str(digest)})
    headers = _headers(str(digest)) | {"Content-Length": str(found.size)}
    return answer(200, headers, kind="application/octet-stream")


async def get(exchange: Exchange) -> web.StreamResponse:
    digest = parse_digest(exchange.argument)
    size = exchange.registry.catalogue.blob(exchange.repository, digest).size
    headers = _headers(str(digest))
    if exchange.request.headers.get("If-None-Match") == headers["ETag"]:
        return answer(304, headers)
    wanted = _range(exchange, size, headers["ETag"])
    headers["Content-Type"] = "application/octet-stream"
    file = exchange.registry.storage.open(digest)
    if wanted is None:
        return await send_file(exchange.request, file, offset=0, count=size, status=200, headers=with_standing(headers))
    headers["Content-Range"] = f"bytes {wanted}/{size}"
    return await send_file(
        exchange.request, file, offset=wanted.start, count=wanted.length, status=206, headers=with_standing(headers)
    )


async def delete(exchange: Exchange) -> web.StreamResponse:
    await exchange.registry.catalogue.unlink_blob(exchange.repository, parse_digest(exchange.argument))
    return answer(202)


def _range(exchange: Exchange, size: int, etag: str) -> ranges.ByteRange | None:
    text = exchange.request.headers.get("Range")
    condition = exchange.request.headers.get("If-Range")
    if text is None or (condition is not None and condition != etag):
        return None
    try:
        return ranges.parse_range(text, size=size)
    except ranges.Unsatisfiable:
        raise ProtocolError(
            errors.RANGE_INVALID,
            f"{text!r} lies past the blob's {size} bytes",
            headers=(("Content-Range", f"bytes */{size}"),),
        ) from None


def _headers(digest: str) -> dict[str, str]:
    return {
        "Docker-Content-Digest": digest,
        "ETag": f'"{digest}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "max-age=31536000",
    }
