"""Questions to a registry that move no blob: tags, repositories, digests, manifests, referrers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, urljoin

from estiba.oci import mediatypes
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.oci.manifest import Index, Manifest, parse_manifest
from estiba.oci.reference import Reference
from estiba.registry.client import manifests
from estiba.registry.client.connection import Connection, Patience, connect
from estiba.registry.client.credentials import CredentialSource
from estiba.registry.client.failures import NotInRegistry, UnexpectedContent
from estiba.registry.client.routes import DIRECT, Routes
from estiba.registry.client.tokens import Scopes, pull_scope
from estiba.registry.protocol.endpoints import catalog_path, referrers_path, tags_path
from estiba.registry.protocol.pagination import next_page

_MOST_PAGES = 10_000
_PAGE = 1000
_LARGEST_PAGE = 16 << 20
_CATALOG: Scopes = frozenset({"registry:catalog:*"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Registries:
    """Asks any registry, as one user. Each question opens a session."""

    credentials: CredentialSource
    routes: Routes = DIRECT
    patience: Patience | None = None

    def tags(self, reference: Reference) -> tuple[str, ...]:
        """Every tag of a repository, in the order of the registry.

        Raises:
            NotInRegistry, AccessDenied, RegistryUnreachable, RegistryFailed.
        """

        async def ask(connection: Connection) -> tuple[str, ...]:
            path = tags_path(reference.repository, number=_PAGE)
            scopes = frozenset({pull_scope(reference.repository)})
            return await _names(connection, path, "tags", what=reference.familiar_name, scopes=scopes)

        return self._ask(reference.registry, ask)

    def repositories(self, registry: str) -> tuple[str, ...]:
        """Every repository that the registry tells of (Docker's catalog; many public registries refuse it)."""

        async def ask(connection: Connection) -> tuple[str, ...]:
            path = catalog_path(number=_PAGE)
            return await _names(connection, path, "repositories", what="its catalog", scopes=_CATALOG)

        return self._ask(registry, ask)

    def digest(self, reference: Reference) -> Digest:
        """The digest that a reference has now, without fetching what it names, where the registry can tell."""

        async def ask(connection: Connection) -> Digest:
            scopes = frozenset({pull_scope(reference.repository)})
            found = await manifests.find(connection, reference, scopes=scopes)
            if found is not None:
                return found
            return (await manifests.fetch(connection, reference, _which(reference), scopes=scopes))[1]

        return self._ask(reference.registry, ask)

    def manifest(self, reference: Reference) -> tuple[Manifest | Index, Digest]:
        """The document that a reference names, its bytes as they are."""

        async def ask(connection: Connection) -> tuple[Manifest | Index, Digest]:
            scopes = frozenset({pull_scope(reference.repository)})
            return await manifests.fetch(connection, reference, _which(reference), scopes=scopes)

        return self._ask(reference.registry, ask)

    def referrers(self, reference: Reference, *, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """The manifests that name this one as their subject (distribution-spec, "Listing Referrers").

        Where the registry has no such list, the index under the tag ``sha256-HEX`` is read, which takes its place.
        """

        async def ask(connection: Connection) -> tuple[Descriptor, ...]:
            scopes = frozenset({pull_scope(reference.repository)})
            digest = reference.digest
            if digest is None:
                digest = (await manifests.fetch(connection, reference, _which(reference), scopes=scopes))[1]
            found = await referrers_of(connection, reference, digest, artifact_type=artifact_type, scopes=scopes)
            return tuple(one for one in found if artifact_type in ("", one.artifact_type))

        return self._ask(reference.registry, ask)

    def _ask(self, registry: str, ask: Callable[[Connection], Awaitable[T]]) -> T:
        async def run() -> T:
            async with self.connect(registry) as connection:
                return await ask(connection)

        return asyncio.run(run())

    @asynccontextmanager
    async def connect(self, registry: str) -> AsyncIterator[Connection]:
        """A session with one registry."""
        async with connect(
            registry, credentials=self.credentials, patience=self.patience, routes=self.routes
        ) as connection:
            yield connection


async def referrers_of(
    connection: Connection, reference: Reference, digest: Digest, *, artifact_type: str = "", scopes: Scopes
) -> tuple[Descriptor, ...]:
    """What refers to `digest` in the repository of `reference`; a registry may leave the choice of a type to us."""
    path = referrers_path(reference.repository, digest)
    if artifact_type:
        path += f"?artifactType={quote(artifact_type, safe='')}"
    try:
        async with connection.request(
            "GET", path, what=f"the referrers of {digest}", scopes=scopes, expect=(200,)
        ) as response:
            data = await _whole(response.content.read)
        document = parse_manifest(data, media_type=mediatypes.OCI_INDEX)
    except NotInRegistry:
        try:
            document, _ = await manifests.fetch(connection, reference, referrers_tag(digest), scopes=scopes)
        except NotInRegistry:
            return ()
    return document.manifests if isinstance(document, Index) else ()


def referrers_tag(digest: Digest) -> str:
    """Where referrers stand in a registry that has no list of its own (distribution-spec, "Referrers Tag Schema")."""
    return f"{digest.algorithm[:32]}-{digest.hex[:64]}"


async def _names(connection: Connection, path: str, key: str, *, what: str, scopes: Scopes) -> tuple[str, ...]:
    """A list of names, page after page."""
    names: list[str] = []
    seen: set[str] = set()
    target: str | None = path
    while target is not None and target not in seen and len(seen) < _MOST_PAGES:
        seen.add(target)
        async with connection.request("GET", target, what=what, scopes=scopes, expect=(200,)) as response:
            names += _page(await _whole(response.content.read), key, connection.address.registry)
            following = next_page(response.headers.get("Link", ""))
            target = urljoin(str(response.url), following) if following else None
    return tuple(dict.fromkeys(names))


async def _whole(read: Callable[[int], Awaitable[bytes]]) -> bytes:
    data = bytearray()
    while (part := await read(_LARGEST_PAGE)) and len(data) <= _LARGEST_PAGE:
        data += part
    return bytes(data)


def _page(data: bytes, key: str, registry: str) -> list[str]:
    try:
        found = json.loads(data).get(key) or []
    except (ValueError, AttributeError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise UnexpectedContent(f"the registry {registry} answered something else than a list of {key}")
    return found


def _which(reference: Reference) -> str | Digest:
    return reference.digest or reference.tagged.tag or ""
