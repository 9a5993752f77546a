"""What a name means in a registry, down to each manifest with its platform."""

from __future__ import annotations

from estiba.oci import mediatypes
from estiba.oci.descriptor import Descriptor
from estiba.oci.image_config import MAXIMUM_SIZE, ImageConfig
from estiba.oci.manifest import Index, Manifest
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.registry.client import manifests
from estiba.registry.client.connection import Connection
from estiba.registry.client.download import stream
from estiba.registry.client.failures import UnexpectedContent
from estiba.registry.client.lists.draft import Entry
from estiba.registry.client.tokens import Scopes, pull_scope
from estiba.store.blobs.base import Check
from estiba.values import NamedTuple


class Described(NamedTuple):
    """`top` is the document that was named; `entries` are the manifests that it means: itself, or those of an index."""

    top: Manifest | Index
    entries: tuple[Entry, ...]


async def describe(connection: Connection, reference: Reference) -> Described:
    """Fetch the documents, and of an image that stands alone its configuration too, which tells its platform.

    Raises:
        NotInRegistry, AccessDenied, RegistryUnreachable, RegistryFailed. Corrupt: another digest than asked for.
    """
    reference = reference.tagged
    scopes = frozenset({pull_scope(reference.repository)})
    which = reference.digest or reference.tag or ""
    top, digest = await manifests.fetch(connection, reference, which, scopes=scopes)
    if isinstance(top, Manifest):
        platform = await _platform(connection, reference, top, scopes)
        descriptor = Descriptor(top.media_type, digest, len(top.raw), platform, artifact_type=top.artifact_type)
        return Described(top, (Entry(reference, descriptor, top.raw),))
    entries = []
    for one in top.manifests:
        source = reference._replace(digest=one.digest)
        document, _ = await manifests.fetch(connection, source, one.digest, scopes=scopes)
        entries.append(Entry(source, one, document.raw))
    return Described(top, tuple(entries))


async def _platform(
    connection: Connection, reference: Reference, manifest: Manifest, scopes: Scopes
) -> Platform | None:
    """What the configuration says; None for what is no image, or does not say it."""
    config = manifest.config
    if config.media_type not in mediatypes.CONFIGS:
        return None
    if config.size > MAXIMUM_SIZE:
        raise UnexpectedContent(f"{config.digest} has {config.size} bytes, more than the limit of {MAXIMUM_SIZE}")
    check = Check(config.digest, config.size)
    data = bytearray()
    async for piece in stream(connection, reference.repository, config, 0, scopes=scopes):
        check.take(piece)
        data += piece
    check.finish()
    platform = ImageConfig.parse(bytes(data)).platform
    return platform if platform.os or platform.architecture else None
