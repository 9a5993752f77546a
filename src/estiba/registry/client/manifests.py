"""Manifests from and to a registry, and the choice of a platform."""

from __future__ import annotations

import hashlib

import aiohttp

from estiba.errors import NotFound
from estiba.oci import mediatypes
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.oci.manifest import MAXIMUM_SIZE, Index, Manifest, parse_manifest
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.registry.client.connection import Connection
from estiba.registry.client.failures import NotInRegistry, RegistryUnreachable, UnexpectedContent
from estiba.registry.client.tokens import Scopes
from estiba.registry.protocol.endpoints import manifest_path
from estiba.values import NamedTuple
from estiba.web.client import CONNECTION_ERRORS, reason

_ACCEPT = {"Accept": ", ".join(mediatypes.ACCEPTED_MANIFESTS)}


class NoSuchPlatform(NotFound):
    def __init__(self, reference: Reference, wanted: Platform, offered: tuple[Platform, ...]) -> None:
        found = ", ".join(sorted({str(platform) for platform in offered})) or "none"
        super().__init__(
            f"{reference.familiar} is not there for {wanted}; it is for {found}",
            remedy="Choose one of these with --platform, where this machine can run it.",
        )


class Resolved(NamedTuple):
    """What a reference means: the document that it names (an index, or the manifest itself), and the manifest."""

    top: Manifest | Index
    top_digest: Digest
    manifest: Manifest
    manifest_digest: Digest


async def resolve(connection: Connection, reference: Reference, *, platform: Platform, scopes: Scopes) -> Resolved:
    """Fetch what `reference` names, down to the manifest for `platform`.

    Raises:
        NotInRegistry, NoSuchPlatform, UnexpectedContent: another digest than asked for. Malformed.
    """
    asked = reference.digest or reference.tagged.tag or ""
    top, digest = await fetch(connection, reference, asked, scopes=scopes)
    if isinstance(top, Manifest):
        return Resolved(top, digest, top, digest)
    chosen = choose(top, reference, platform=platform)
    manifest, manifest_digest = await fetch(connection, reference, chosen, scopes=scopes)
    if isinstance(manifest, Index):
        raise UnexpectedContent(f"{reference.familiar} is an index of indexes, which Estiba does not follow")
    return Resolved(top, digest, manifest, manifest_digest)


def choose(index: Index, reference: Reference, *, platform: Platform) -> Digest:
    """The first manifest of an index that `platform` runs, an exact one before others (image-spec, image-index.md).

    Raises:
        NoSuchPlatform.
    """
    images = [one for one in index.manifests if one.media_type in mediatypes.MANIFESTS and not _is_attestation(one)]
    exact = [one for one in images if one.platform and one.platform.plain == platform.plain]
    able = [one for one in images if one.platform and platform.can_run(one.platform)]
    unsaid = [one for one in images if one.platform is None] if len(images) == 1 else []
    for one in (*exact, *able, *unsaid):
        return one.digest
    raise NoSuchPlatform(reference, platform, tuple(one.platform for one in images if one.platform))


def _is_attestation(descriptor: Descriptor) -> bool:
    """BuildKit keeps what it says of an image beside it, as a manifest of the platform unknown/unknown."""
    is_unknown = descriptor.platform is not None and descriptor.platform.os == "unknown"
    return is_unknown or "vnd.docker.reference.type" in dict(descriptor.annotations)


async def fetch(
    connection: Connection, reference: Reference, which: str | Digest, *, scopes: Scopes
) -> tuple[Manifest | Index, Digest]:
    """One document, with the digest of its bytes, which is the one asked for if that was one."""
    path = manifest_path(reference.repository, which)
    what = reference.familiar
    async with connection.request("GET", path, what=what, scopes=scopes, expect=(200,), headers=_ACCEPT) as response:
        data = await _read(connection, response, what)
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
    known = media_type in mediatypes.INDEXES | mediatypes.MANIFESTS | mediatypes.SCHEMA1
    algorithm = which.algorithm if isinstance(which, Digest) else "sha256"
    digest = Digest(algorithm, hashlib.new(algorithm, data).hexdigest())
    if isinstance(which, Digest) and digest != which:
        raise UnexpectedContent(f"the manifest of {what}: expected {which}, got {digest} after {len(data)} bytes")
    return parse_manifest(data, media_type=media_type if known else ""), digest


async def find(connection: Connection, reference: Reference, *, scopes: Scopes) -> Digest | None:
    """The digest that a tag has now, as the registry tells it; None where the tag is not there."""
    path = manifest_path(reference.repository, reference.digest or reference.tagged.tag or "")
    try:
        async with connection.request(
            "HEAD", path, what=reference.familiar, scopes=scopes, expect=(200,), headers=_ACCEPT
        ) as response:
            text = response.headers.get("Docker-Content-Digest")
    except NotInRegistry:
        return None
    return Digest.parse(text) if text else None


async def send(connection: Connection, reference: Reference, manifest: Manifest | Index, *, scopes: Scopes) -> None:
    """Store a manifest under the reference's tag, or under its digest where it has none.

    Raises:
        UnexpectedContent: the registry stored something else.
    """
    path = manifest_path(reference.repository, reference.tag or manifest.digest)
    async with connection.request(
        "PUT",
        path,
        what=reference.familiar,
        scopes=scopes,
        expect=(200, 201),
        headers={"Content-Type": manifest.media_type},
        body=manifest.raw,
    ) as response:
        stored = response.headers.get("Docker-Content-Digest")
    if stored and stored.startswith("sha256:") and stored != str(manifest.digest):
        raise UnexpectedContent(f"the registry stored {stored} for the manifest {manifest.digest}")


async def _read(connection: Connection, response: aiohttp.ClientResponse, what: str) -> bytes:
    data = bytearray()
    try:
        async for part in response.content.iter_any():
            data += part
            if len(data) > MAXIMUM_SIZE:
                raise UnexpectedContent(f"the manifest of {what} is larger than {MAXIMUM_SIZE} bytes")
    except CONNECTION_ERRORS as error:
        raise RegistryUnreachable(connection.address.url, reason(error)) from error
    return bytes(data)
