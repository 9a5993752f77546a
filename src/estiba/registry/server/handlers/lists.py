"""Lists: tags, repositories, referrers, usage, and the base that says which protocol is spoken."""

from __future__ import annotations

import json

from aiohttp import web

from estiba.oci import mediatypes
from estiba.oci.canonical_json import dumps
from estiba.oci.manifest import parse_manifest
from estiba.registry.protocol.endpoints import catalog_path, tags_path
from estiba.registry.protocol.names import parse_digest
from estiba.registry.protocol.pagination import Page, link, parse_page
from estiba.registry.server.answers import answer
from estiba.registry.server.handlers.exchange import Exchange
from estiba.registry.server.handlers.manifests import artifact_type_of
from estiba.registry.server.metadata.values import StoredManifest

_JSON = "application/json; charset=utf-8"


async def base(exchange: Exchange) -> web.StreamResponse:
    return answer(200, body=b"{}", kind=_JSON)


async def tags(exchange: Exchange) -> web.StreamResponse:
    """distribution-spec, "Listing Tags"."""
    repository, page = exchange.repository, _page(exchange)
    listing = exchange.registry.catalogue.tags(repository, page)
    headers = {}
    if listing.more:
        headers["Link"] = link(tags_path(repository, number=page.number, last=listing.names[-1]))
    return _json({"name": repository, "tags": list(listing.names)}, headers)


async def catalog(exchange: Exchange) -> web.StreamResponse:
    page = _page(exchange)
    listing = exchange.registry.catalogue.repositories(page)
    headers = {}
    if listing.more:
        headers["Link"] = link(catalog_path(number=page.number, last=listing.names[-1]))
    return _json({"repositories": list(listing.names)}, headers)


async def referrers(exchange: Exchange) -> web.StreamResponse:
    """distribution-spec, "Listing Referrers": an index, empty where nothing refers to the digest."""
    found = exchange.registry.catalogue.referrers(exchange.repository, parse_digest(exchange.argument))
    descriptors = [_referrer(manifest) for manifest in found]
    headers = {}
    wanted = exchange.request.query.get("artifactType")
    if wanted:
        descriptors = [one for one in descriptors if one.get("artifactType") == wanted]
        headers["OCI-Filters-Applied"] = "artifactType"
    index = {"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX, "manifests": descriptors}
    return answer(200, headers, body=dumps(index), kind=mediatypes.OCI_INDEX)


async def usage(exchange: Exchange) -> web.StreamResponse:
    """Estiba's own: where the bytes are, as `estiba registry df` tells it."""
    found = await exchange.registry.catalogue.usage()
    value = found._asdict() | {"repositories": [repository._asdict() for repository in found.repositories]}
    return _json(value, {})


def _referrer(stored: StoredManifest) -> dict[str, object]:
    manifest = parse_manifest(stored.content, media_type=stored.media_type)
    value: dict[str, object] = {
        "mediaType": stored.media_type,
        "digest": stored.digest,
        "size": len(stored.content),
    }
    artifact_type = artifact_type_of(manifest)
    if artifact_type:
        value["artifactType"] = artifact_type
    if manifest.annotations:
        value["annotations"] = dict(manifest.annotations)
    return value


def _page(exchange: Exchange) -> Page:
    return parse_page(exchange.request.query.get("n"), exchange.request.query.get("last"))


def _json(value: object, headers: dict[str, str]) -> web.Response:
    return answer(200, headers, body=json.dumps(value).encode(), kind=_JSON)
