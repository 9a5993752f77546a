"""Manifests: GET, HEAD, PUT, DELETE (distribution-spec, "Pulling", "Pushing" and "Deleting Manifests")."""

from __future__ import annotations

import hashlib

from aiohttp import web

from estiba.errors import Corrupt, NotThereYet
from estiba.oci import mediatypes
from estiba.oci.digest import Digest
from estiba.oci.manifest import MAXIMUM_SIZE, Index, Manifest, parse_manifest
from estiba.registry.protocol import errors
from estiba.registry.protocol.endpoints import manifest_path
from estiba.registry.protocol.errors import ProtocolError
from estiba.registry.protocol.names import parse_tag_or_digest
from estiba.registry.server.answers import answer
from estiba.registry.server.handlers.exchange import Exchange
from estiba.registry.server.metadata.values import NewManifest
from estiba.web.bodies import read_all

# What tools send that do not know better: the document itself tells what it is.
_SAYS_NOTHING = frozenset({"", "application/json", "application/octet-stream"})


async def get(exchange: Exchange) -> web.StreamResponse:
    """Answers HEAD too."""
    found = exchange.registry.catalogue.manifest(exchange.repository, parse_tag_or_digest(exchange.argument))
    etag = f'"{found.digest}"'
    headers = {"Docker-Content-Digest": found.digest, "ETag": etag, "Content-Length": str(len(found.content))}
    if exchange.request.headers.get("If-None-Match") == etag:
        del headers["Content-Length"]
        return answer(304, headers)
    body = None if exchange.request.method == "HEAD" else found.content
    return answer(200, headers, body=body, kind=found.media_type)


async def put(exchange: Exchange) -> web.StreamResponse:
    repository, reference = exchange.repository, parse_tag_or_digest(exchange.argument)
    content = await read_all(exchange.request, limit=MAXIMUM_SIZE)
    new = _new_manifest(content, exchange.request.headers.get("Content-Type", ""), reference)
    await exchange.registry.catalogue.put_manifest(repository, new, by=exchange.user)
    headers = {"Location": manifest_path(repository, new.digest), "Docker-Content-Digest": str(new.digest)}
    if new.subject:
        headers["OCI-Subject"] = str(new.subject)
    return answer(201, headers)


async def delete(exchange: Exchange) -> web.StreamResponse:
    await exchange.registry.catalogue.delete_manifest(
        exchange.repository, parse_tag_or_digest(exchange.argument), by=exchange.user
    )
    return answer(202)


def _new_manifest(content: bytes, content_type: str, reference: str | Digest) -> NewManifest:
    """Read what was pushed.

    Raises:
        ProtocolError: MANIFEST_INVALID or DIGEST_INVALID.
    """
    algorithm = reference.algorithm if isinstance(reference, Digest) else "sha256"
    digest = Digest(algorithm, hashlib.new(algorithm, content).hexdigest())
    if isinstance(reference, Digest) and digest != reference:
        raise ProtocolError(
            errors.DIGEST_INVALID, f"expected {reference}, got {digest}", detail={"digest": str(reference)}
        )
    media_type = content_type.partition(";")[0].strip().lower()
    try:
        manifest = parse_manifest(content, media_type="" if media_type in _SAYS_NOTHING else media_type)
    except (Corrupt, NotThereYet) as error:
        raise ProtocolError(errors.MANIFEST_INVALID, error.message) from None
    return NewManifest(
        digest,
        manifest.media_type,
        content,
        blobs_needed(manifest),
        tuple(child.digest for child in manifest.manifests) if isinstance(manifest, Index) else (),
        manifest.subject.digest if manifest.subject else None,
        artifact_type_of(manifest),
        "" if isinstance(reference, Digest) else reference,
    )


def blobs_needed(manifest: Manifest | Index) -> tuple[Digest, ...]:
    """Config and layers, but layers that others distribute (image-spec, layer.md) need not be here."""
    if isinstance(manifest, Index):
        return ()
    layers = (layer.digest for layer in manifest.layers if layer.media_type not in mediatypes.FOREIGN_LAYERS)
    return (manifest.config.digest, *layers)


def artifact_type_of(manifest: Manifest | Index) -> str:
    """As the list of referrers has it: a manifest that names none is of its config's type."""
    if manifest.artifact_type or isinstance(manifest, Index):
        return manifest.artifact_type
    return manifest.config.media_type
