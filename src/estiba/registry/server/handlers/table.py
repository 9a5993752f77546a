"""Which handler answers which endpoint and method of `protocol/endpoints.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from estiba.registry.server.handlers import blobs, lists, manifests, uploads
from estiba.registry.server.handlers.exchange import Exchange

Handler = Callable[[Exchange], Awaitable[web.StreamResponse]]

HANDLERS: dict[tuple[str, str], Handler] = {
    ("base", "GET"): lists.base,
    ("base", "HEAD"): lists.base,
    ("manifest", "GET"): manifests.get,
    ("manifest", "HEAD"): manifests.get,
    ("manifest", "PUT"): manifests.put,
    ("manifest", "DELETE"): manifests.delete,
    ("blob", "GET"): blobs.get,
    ("blob", "HEAD"): blobs.head,
    ("blob", "DELETE"): blobs.delete,
    ("uploads", "POST"): uploads.post,
    ("upload", "GET"): uploads.status,
    ("upload", "PATCH"): uploads.patch,
    ("upload", "PUT"): uploads.put,
    ("upload", "DELETE"): uploads.delete,
    ("tags", "GET"): lists.tags,
    ("referrers", "GET"): lists.referrers,
    ("catalog", "GET"): lists.catalog,
    ("usage", "GET"): lists.usage,
}
