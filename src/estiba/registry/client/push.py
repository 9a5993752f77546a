"""Push: from an image in the store to a reference in a registry, step by step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from estiba.image.materialise import manifest_of, materialise
from estiba.oci import mediatypes
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.oci.manifest import Manifest
from estiba.oci.reference import Reference
from estiba.registry.client import manifests, upload
from estiba.registry.client import progress as statuses
from estiba.registry.client.connection import Connection, Patience, connect
from estiba.registry.client.credentials import CredentialSource
from estiba.registry.client.failures import AccessDenied, NotInRegistry, Refused
from estiba.registry.client.layer_sources import LayerSources
from estiba.registry.client.pending_uploads import PendingUploads
from estiba.registry.client.progress import Progress, Silence
from estiba.registry.client.routes import DIRECT, Routes
from estiba.registry.client.tokens import Scopes, pull_scope, push_scope
from estiba.store.store import Store
from estiba.values import NamedTuple
from estiba.web.client import parts_of

_PARALLEL = 3
_WORTH_REMEMBERING = 1 << 20

PUSHED, EXISTS, MOUNTED = "pushed", "exists", "mounted"


class PushedBlob(NamedTuple):
    """A layer or the configuration: `how` it came to be there is ``pushed``, ``exists`` or ``mounted``."""

    digest: Digest
    size: int
    how: str


class PushResult(NamedTuple):
    """`digest` is the manifest's; `layers` are the lowest first; `config` is the image's configuration."""

    digest: Digest
    layers: tuple[PushedBlob, ...]
    config: PushedBlob
    manifest_size: int

    @property
    def bytes_sent(self) -> int:
        """Bytes of blobs that travelled."""
        return sum(blob.size for blob in (*self.layers, self.config) if blob.how == PUSHED)


def push(
    store: Store,
    image_id: Digest,
    reference: Reference,
    *,
    credentials: CredentialSource,
    progress: Progress | None = None,
    compression: str = "gzip",
    patience: Patience | None = None,
    routes: Routes = DIRECT,
) -> PushResult:
    """Bring the image to the registry under `reference`. Only what the registry does not have travels.

    Raises:
        NotFound: no such image. AccessDenied, RegistryUnreachable, RegistryFailed, Refused. Unavailable: no space.
    """
    reference = reference.tagged
    tell = progress or Silence()
    tell.line(f"The push refers to repository [{reference.familiar_name}]")
    with store.leases.hold(f"push {reference.familiar}"):
        result = asyncio.run(_send(store, image_id, reference, compression, credentials, tell, patience, routes))
        known = store.references.get(reference)
        if known is not None and known.target == image_id:
            store.references.set(reference, image_id, manifest=result.digest)
    return result


def _manifest(store: Store, image_id: Digest, compression: str, on_layer: Callable[[Descriptor], None]) -> Manifest:
    """The image's manifest; each layer is compressed now if it never was, and told to `on_layer` as it is there."""
    return manifest_of(store, materialise(store, image_id, compression=compression, on_layer=on_layer).digest)


async def _send(
    store: Store,
    image_id: Digest,
    reference: Reference,
    compression: str,
    credentials: CredentialSource,
    progress: Progress,
    patience: Patience | None,
    routes: Routes,
) -> PushResult:
    """Every blob, the layers while the next are compressed, then the manifest that names them."""
    async with connect(reference.registry, credentials=credentials, patience=patience, routes=routes) as connection:
        courier = _Courier(
            store, connection, reference, progress, LayerSources(store.database), PendingUploads(store.database)
        )
        round_ = _Round(courier)
        manifest = await round_.bring(lambda on_layer: _manifest(store, image_id, compression, on_layer))
        done = round_.done
        await manifests.send(connection, reference, manifest, scopes=courier.scopes)
    courier.sources.remember(reference.registry, reference.repository, done, now=int(time.time()))
    return PushResult(
        manifest.digest,
        tuple(done[layer.digest] for layer in _distributed(manifest)),
        done[manifest.config.digest],
        len(manifest.raw),
    )


def _distributed(manifest: Manifest) -> list[Descriptor]:
    return [layer for layer in manifest.layers if layer.media_type not in mediatypes.FOREIGN_LAYERS]


class _Round:
    """All blobs of one image on their way, a few at a time; `done` are those that have arrived."""

    def __init__(self, courier: _Courier) -> None:
        self.done: dict[Digest, PushedBlob] = {}
        self._courier = courier
        self._gate = asyncio.Semaphore(_PARALLEL)
        self._begun: set[Digest] = set()
        self._is_over = False

    async def bring(self, prepare: Callable[[Callable[[Descriptor], None]], Manifest]) -> Manifest:
        """Run `prepare` in a thread, bring the layers that it gives meanwhile, and then what else the manifest names.

        One that fails stops the others. Raises what `prepare` and bringing a blob raise.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as group:

                def on_layer(blob: Descriptor) -> None:
                    if self._is_over:
                        raise _Stopped
                    loop.call_soon_threadsafe(self._begin, group, blob)

                preparing = loop.run_in_executor(None, prepare, on_layer)
                try:
                    manifest = await asyncio.shield(preparing)
                except asyncio.CancelledError:
                    self._is_over = True
                    await asyncio.wait([preparing])
                    preparing.exception()  # a blob that failed is why; that one is told
                    raise
                for blob in (*_distributed(manifest), manifest.config):
                    self._begin(group, blob)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return manifest

    def _begin(self, group: asyncio.TaskGroup, blob: Descriptor) -> None:
        if self._is_over or blob.digest in self._begun:
            return
        self._begun.add(blob.digest)
        self._courier.progress.blob(blob.digest, statuses.PREPARING)
        group.create_task(self._bring(blob))

    async def _bring(self, blob: Descriptor) -> None:
        try:
            async with self._gate:
                self.done[blob.digest] = await self._courier.bring(blob)
        except BaseException:
            self._is_over = True
            raise


class _Stopped(Exception):
    """There is no more use in compressing."""


@dataclass(frozen=True, slots=True)
class _Courier:
    """Brings blobs to one repository."""

    store: Store
    connection: Connection
    reference: Reference
    progress: Progress
    sources: LayerSources
    pending: PendingUploads

    @property
    def scopes(self) -> Scopes:
        return frozenset({push_scope(self.reference.repository)})

    async def bring(self, blob: Descriptor) -> PushedBlob:
        """The cheapest way first: it is there, it can be mounted, it must travel."""
        repository = self.reference.repository
        if await upload.exists(self.connection, repository, blob.digest, scopes=self.scopes):
            self.progress.blob(blob.digest, statuses.EXISTS_THERE)
            return PushedBlob(blob.digest, blob.size, EXISTS)
        location = ""
        for source in self.sources.find(self.reference.registry, blob.digest, but=repository):
            outcome = await self._mount(blob, source)
            if outcome is None:
                self.progress.blob(blob.digest, statuses.MOUNTED.format(source))
                return PushedBlob(blob.digest, blob.size, MOUNTED)
            self.sources.forget(self.reference.registry, source, blob.digest)
            location = outcome
            if location:
                break
        await self._send(blob, location)
        self.progress.blob(blob.digest, statuses.PUSHED)
        return PushedBlob(blob.digest, blob.size, PUSHED)

    async def _send(self, blob: Descriptor, location: str) -> None:
        """Over the connection; a large blob's upload is remembered until it has ended."""
        there = (self.reference.registry, self.reference.repository, blob.digest)
        is_large = blob.size >= _WORTH_REMEMBERING
        offset = 0
        if is_large and (known := self.pending.find(*there)):
            resumed = await upload.resume(self.connection, self.reference.repository, known, scopes=self.scopes)
            location, offset = resumed or (location, 0)
        location = location or await upload.begin(self.connection, self.reference.repository, scopes=self.scopes)
        if is_large:
            self.pending.remember(*there, location, now=int(time.time()))
        await upload.send(
            self.connection,
            self.reference.repository,
            blob,
            lambda start: parts_of(lambda: self.store.blobs.open(blob.digest), start),
            location=location,
            offset=offset,
            scopes=self.scopes,
            on_bytes=lambda done: self.progress.blob(blob.digest, statuses.PUSHING, done=done, total=blob.size),
        )
        if is_large:
            self.pending.forget(*there)

    async def _mount(self, blob: Descriptor, source: str) -> str | None:
        """None: mounted. Else the address of the upload that the registry began instead, "" where it would not."""
        scopes = self.scopes | {pull_scope(source)}
        try:
            return await upload.mount(
                self.connection, self.reference.repository, blob.digest, source=source, scopes=scopes
            )
        except (AccessDenied, NotInRegistry, Refused):
            return ""
