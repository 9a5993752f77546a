"""Pull: from a reference to an image in the store, step by step."""

from __future__ import annotations

import asyncio
import time

from estiba.errors import InvalidInput, NotFound, PermissionDenied, Unavailable
from estiba.image.assemble import commit_image
from estiba.oci import mediatypes
from estiba.oci.image_config import MAXIMUM_SIZE, ImageConfig
from estiba.oci.manifest import Manifest
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.registry.client import manifests
from estiba.registry.client.connection import Patience, connect
from estiba.registry.client.credentials import CredentialSource
from estiba.registry.client.download import read_small
from estiba.registry.client.failures import UnexpectedContent
from estiba.registry.client.layer_sources import LayerSources
from estiba.registry.client.layers import LayerTransfer
from estiba.registry.client.manifests import Resolved
from estiba.registry.client.progress import Progress, Silence
from estiba.registry.client.routes import DIRECT, Routes
from estiba.registry.client.tokens import pull_scope
from estiba.store.images import ImageRecord
from estiba.store.store import Store

_WITH_A_MIRROR = Patience(attempts=2)


class NoImage(InvalidInput):
    def __init__(self, reference: Reference, kind: str) -> None:
        super().__init__(
            f"{reference.familiar} is an artifact of type {kind}, not an image that can run",
            remedy=f"Fetch its files: estiba artifact pull {reference.familiar}",
        )


def pull(
    store: Store,
    reference: Reference,
    *,
    platform: Platform,
    credentials: CredentialSource,
    progress: Progress | None = None,
    patience: Patience | None = None,
    routes: Routes = DIRECT,
) -> ImageRecord:
    """Fetch the image that `reference` names for `platform`, unpack it, and give it that name.

    The bytes of index, manifest, configuration and layers are kept exactly as they came. Nothing is named before
    everything is there; what a cut pull has fetched is used by the next. Mirrors are asked first.

    Raises:
        NotInRegistry, NoSuchPlatform, AccessDenied, RegistryUnreachable, RegistryFailed.
        Corrupt: bytes are not what their digest says; they are not kept. Unavailable: no space.
    """
    reference = reference.tagged
    tell = progress or Silence()
    with store.leases.hold(f"pull {reference.familiar}"):
        resolved, config = _from_first(store, reference, platform, credentials, tell, patience, routes)
        record = commit_image(store, config, manifest=resolved.manifest_digest)
        before = store.references.get(reference)
        store.references.set(reference, record.id, manifest=resolved.top_digest)
    is_new = before is None or before.target != record.id
    tell.line(f"Digest: {resolved.top_digest}")
    tell.line(f"Status: {'Downloaded newer image' if is_new else 'Image is up to date'} for {reference.familiar}")
    return record


def _from_first(
    store: Store,
    reference: Reference,
    platform: Platform,
    credentials: CredentialSource,
    progress: Progress,
    patience: Patience | None,
    routes: Routes,
) -> tuple[Resolved, ImageConfig]:
    """From the first mirror that has it, else from the registry itself, whose error counts."""
    *mirrors, origin = routes.sources(reference.registry)
    for mirror in mirrors:
        source = reference._replace(registry=mirror.registry, repository=mirror.repository(reference.repository))
        try:
            return asyncio.run(fetch_image(store, source, platform, credentials, progress, _WITH_A_MIRROR, routes))
        except (NotFound, PermissionDenied, Unavailable) as error:
            progress.line(f"The mirror {mirror.registry} is passed over: {error.message}")
    assert origin.registry == reference.registry
    return asyncio.run(fetch_image(store, reference, platform, credentials, progress, patience, routes))


async def fetch_image(
    store: Store,
    source: Reference,
    platform: Platform,
    credentials: CredentialSource,
    progress: Progress,
    patience: Patience | None,
    routes: Routes,
) -> tuple[Resolved, ImageConfig]:
    """All that the image consists of: documents into the blob store, layers there and into snapshots.

    What is there already is not fetched; nothing is named. The caller holds a lease. Raises what `pull` does.
    """
    scopes = frozenset({pull_scope(source.repository)})
    async with connect(source.registry, credentials=credentials, patience=patience, routes=routes) as connection:
        resolved = await manifests.resolve(connection, source, platform=platform, scopes=scopes)
        manifest = resolved.manifest
        _check_is_image(source, manifest)
        progress.line(f"{source.tag or source.digest}: Pulling from {source.repository}")
        if connection.rate_limit:
            progress.line(f"Rate limit of {source.registry}: {connection.rate_limit}")
        raw = await read_small(connection, source.repository, manifest.config, store, limit=MAXIMUM_SIZE, scopes=scopes)
        config = ImageConfig.parse(raw)
        _check_layers(source, manifest, config)
        await LayerTransfer(store, connection, source.repository, manifest, config, progress, scopes).bring()
    for document in {resolved.top.raw, manifest.raw}:
        store.blobs.put(document)
    layers = (layer.digest for layer in manifest.layers)
    LayerSources(store.database).remember(
        source.registry, source.repository, (manifest.config.digest, *layers), now=int(time.time())
    )
    return resolved, config


def _check_is_image(reference: Reference, manifest: Manifest) -> None:
    if manifest.config.media_type not in mediatypes.CONFIGS:
        raise NoImage(reference, manifest.artifact_type or manifest.config.media_type)


def _check_layers(reference: Reference, manifest: Manifest, config: ImageConfig) -> None:
    if len(config.diff_ids) != len(manifest.layers):
        raise UnexpectedContent(
            f"{reference.familiar}: the manifest has {len(manifest.layers)} layers, "
            f"the configuration {len(config.diff_ids)} diff IDs"
        )
