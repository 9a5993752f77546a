"""Pull: from a reference to an image in the store, step by step."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from estiba.image.assemble import commit_image
from estiba.image.unpack import Unpacking
from estiba.oci import mediatypes
from estiba.oci.descriptor import Descriptor
from estiba.oci.image_config import MAXIMUM_SIZE, ImageConfig
from estiba.oci.manifest import Manifest
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.registry.client import manifests
from estiba.registry.client import progress as statuses
from estiba.registry.client.connection import Connection, Patience, connect
from estiba.registry.client.credentials import CredentialSource
from estiba.registry.client.download import download, read_small
from estiba.registry.client.failures import UnexpectedContent
from estiba.registry.client.layer_sources import LayerSources
from estiba.registry.client.manifests import Resolved
from estiba.registry.client.progress import Progress, Silence
from estiba.registry.client.tokens import Scopes, pull_scope
from estiba.store.images import ImageRecord
from estiba.store.store import Store

_PARALLEL = 3


def pull(
    store: Store,
    reference: Reference,
    *,
    platform: Platform,
    credentials: CredentialSource,
    progress: Progress | None = None,
    patience: Patience | None = None,
    plain_http: bool = False,
) -> ImageRecord:
    """Fetch the image that `reference` names for `platform`, unpack it, and give it that name.

    The bytes of index, manifest, configuration and layers are kept exactly as they came. Nothing is named before
    everything is there; what a cut pull has fetched is used by the next.

    Raises:
        NotInRegistry, NoSuchPlatform, AccessDenied, RegistryUnreachable, RegistryFailed.
        Corrupt: bytes are not what their digest says; they are not kept. Unavailable: no space.
    """
    reference = reference.tagged
    tell = progress or Silence()
    with store.leases.hold(f"pull {reference.familiar}"):
        resolved, config = asyncio.run(_fetch(store, reference, platform, credentials, tell, patience, plain_http))
        record = commit_image(store, config, manifest=resolved.manifest_digest)
        before = store.references.get(reference)
        store.references.set(reference, record.id, manifest=resolved.top_digest)
    is_new = before is None or before.target != record.id
    tell.line(f"Digest: {resolved.top_digest}")
    tell.line(f"Status: {'Downloaded newer image' if is_new else 'Image is up to date'} for {reference.familiar}")
    return record


async def _fetch(
    store: Store,
    reference: Reference,
    platform: Platform,
    credentials: CredentialSource,
    progress: Progress,
    patience: Patience | None,
    plain_http: bool,
) -> tuple[Resolved, ImageConfig]:
    """All that the image consists of: documents into the blob store, layers there and into snapshots."""
    scopes = frozenset({pull_scope(reference.repository)})
    async with connect(
        reference.registry, credentials=credentials, patience=patience, plain_http=plain_http
    ) as connection:
        resolved = await manifests.resolve(connection, reference, platform=platform, scopes=scopes)
        manifest = resolved.manifest
        _check_is_image(reference, manifest)
        progress.line(f"{reference.tag or reference.digest}: Pulling from {reference.repository}")
        raw = await read_small(
            connection, reference.repository, manifest.config, store.blobs, limit=MAXIMUM_SIZE, scopes=scopes
        )
        config = ImageConfig.parse(raw)
        _check_layers(reference, manifest, config)
        await _Layers(store, connection, reference, manifest, config, progress, scopes).bring()
    for document in {resolved.top.raw, manifest.raw}:
        store.blobs.put(document)
    layers = (layer.digest for layer in manifest.layers)
    LayerSources(store.database).remember(
        reference.registry, reference.repository, (manifest.config.digest, *layers), now=int(time.time())
    )
    return resolved, config


@dataclass(frozen=True, slots=True)
class _Layers:
    """The layers of one image on their way: a few download while those that are here unpack."""

    store: Store
    connection: Connection
    reference: Reference
    manifest: Manifest
    config: ImageConfig
    progress: Progress
    scopes: Scopes

    async def bring(self) -> None:
        """Every blob is in the store and every snapshot committed, or nothing half done is left."""
        pairs = list(zip(self.config.diff_ids, self.manifest.layers, strict=True))
        loop = asyncio.get_running_loop()
        with Unpacking(self.store, pairs) as unpacking:
            await self._download_all(unpacking)
            await loop.run_in_executor(None, unpacking.finish)
        for diff_id, layer in pairs:
            self.store.layer_blobs.add(diff_id, layer)
        for layer in dict.fromkeys(self.manifest.layers[position] for position in unpacking.needed):
            self.progress.blob(layer.digest, statuses.UNPACKED)

    async def _download_all(self, unpacking: Unpacking) -> None:
        """Those that are missing, a few at a time; one that fails stops the others."""
        gate, turn = asyncio.Semaphore(_PARALLEL), asyncio.Lock()

        async def bring(layer: Descriptor, positions: list[int]) -> None:
            async with gate:
                await self._download(layer)
            async with turn:
                await asyncio.get_running_loop().run_in_executor(None, self._start, unpacking, layer, positions)

        waiting: dict[Descriptor, list[int]] = {layer: [] for layer in self.manifest.layers}
        for position in unpacking.needed:
            waiting[self.manifest.layers[position]].append(position)
        try:
            async with asyncio.TaskGroup() as group:
                for layer, positions in waiting.items():
                    group.create_task(bring(layer, positions))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _download(self, layer: Descriptor) -> None:
        if self.store.blobs.has(layer.digest):
            self.progress.blob(layer.digest, statuses.EXISTS_HERE)
            return
        self.progress.blob(layer.digest, statuses.WAITING)
        await download(
            self.connection,
            self.reference.repository,
            layer,
            self.store.blobs,
            scopes=self.scopes,
            on_bytes=lambda done: self.progress.blob(layer.digest, statuses.DOWNLOADING, done=done, total=layer.size),
        )
        self.progress.blob(layer.digest, statuses.DOWNLOADED)

    def _start(self, unpacking: Unpacking, layer: Descriptor, positions: list[int]) -> None:
        for position in positions:
            with self.store.blobs.open(layer.digest) as blob:
                unpacking.start(position, blob.fileno())


def _check_is_image(reference: Reference, manifest: Manifest) -> None:
    if manifest.config.media_type not in mediatypes.CONFIGS:
        kind = manifest.artifact_type or manifest.config.media_type
        raise UnexpectedContent(f"{reference.familiar} is an artifact of type {kind}, not an image that can run")
    foreign = [layer.digest for layer in manifest.layers if layer.media_type in mediatypes.FOREIGN_LAYERS]
    if foreign:
        raise UnexpectedContent(f"{reference.familiar} has layers that its registry does not distribute: {foreign[0]}")


def _check_layers(reference: Reference, manifest: Manifest, config: ImageConfig) -> None:
    if len(config.diff_ids) != len(manifest.layers):
        raise UnexpectedContent(
            f"{reference.familiar}: the manifest has {len(manifest.layers)} layers, "
            f"the configuration {len(config.diff_ids)} diff IDs"
        )
