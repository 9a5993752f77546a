"""Copy: an image, or every image of an index, from one place to another, as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from estiba.errors import InvalidInput, NotThereYet
from estiba.image.archive import docker, oci
from estiba.image.archive.source import ArchiveSource, DirectorySource
from estiba.image.materialise import materialise
from estiba.oci import mediatypes
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.oci.json_fields import Malformed
from estiba.oci.manifest import Index, Manifest
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.registry.client import manifests
from estiba.registry.client.ask import Registries
from estiba.registry.client.copy.destinations import (
    ArchiveDestination,
    Destination,
    LayoutDestination,
    RegistryDestination,
)
from estiba.registry.client.copy.places import DOCKER_ARCHIVE, LAYOUT, OCI_ARCHIVE, STORE, Place
from estiba.registry.client.copy.sources import (
    DockerArchiveSource,
    LayoutSource,
    RegistrySource,
    Source,
    StoreSource,
)
from estiba.registry.client.progress import Progress
from estiba.store.scratch import Scratch, translated
from estiba.store.store import Store
from estiba.values import NamedTuple

_PARALLEL = 4
_DEEPEST = 4


class Copied(NamedTuple):
    """`digest` is that of the document that was named; `images` how many manifests it meant; bytes that travelled."""

    digest: Digest
    images: int
    blobs: int
    bytes_sent: int


@dataclass(frozen=True, slots=True)
class Copier:
    """What every copy of one command shares. `store` is opened when it is needed, `scratch` a directory for archives
    that must be decompressed before they can be read.
    """

    registries: Registries
    store: Callable[[], Store]
    scratch: str
    progress: Progress

    def copy(self, source: Place, destination: Place, *, platform: Platform | None = None) -> Copied:
        """Bring what `source` names to `destination`: all its platforms, or the one for `platform`.

        Bytes stay as they are, so digests do too.

        Raises:
            NotFound, AccessDenied, RegistryUnreachable, RegistryFailed. Corrupt: bytes are not what their digest says.
            InvalidInput: the two do not go together. Unavailable: no space.
        """
        if destination.kind == STORE:
            raise NotThereYet(
                "copying into the store is not there yet",
                remedy="Use `estiba pull` from a registry, `estiba load` else.",
            )
        return asyncio.run(self._copy(source, destination, platform))

    async def _copy(self, source: Place, destination: Place, platform: Platform | None) -> Copied:
        async with AsyncExitStack() as stack:
            giver = await stack.enter_async_context(self._open(source))
            top = await giver.top()
            if platform is not None and isinstance(top, Index):
                chosen = manifests.choose(top, _reference(source), platform=platform)
                top = await giver.document(next(one for one in top.manifests if one.digest == chosen))
            if destination.kind == DOCKER_ARCHIVE and isinstance(top, Index):
                raise InvalidInput(
                    f"{source} is an index of {len(top.manifests)} images, a docker-archive holds one",
                    remedy="Choose one with --platform OS/ARCH, or write oci-archive:FILE.",
                )
            taker = await stack.enter_async_context(self._create(destination, source))
            try:
                run = _Run(giver, taker)
                await run.bring(top, depth=0)
                await taker.finish(top)
            except BaseException:
                taker.abandon()
                raise
        return Copied(top.digest, run.images, len(run.blobs), run.bytes_sent)

    @asynccontextmanager
    async def _open(self, place: Place) -> AsyncIterator[Source]:
        if place.reference is not None:
            async with self.registries.connect(place.reference.registry) as connection:
                yield RegistrySource(connection, place.reference)
        elif place.kind == STORE:
            store = self.store()
            with store.leases.hold(f"copy {place.name}"):
                yield StoreSource(store, materialise(store, store.images.find(place.name).id).digest)
        elif place.kind == LAYOUT:
            with DirectorySource(place.path) as directory:
                yield LayoutSource(directory, place.name)
        else:
            with _open_archive(place, Scratch(self.scratch)) as archive:
                is_layout = archive.has(oci.MARKER) and archive.has(oci.INDEX)
                if not is_layout and not archive.has(docker.MANIFEST):
                    raise InvalidInput(f"{place.path} is not an archive of images")
                if place.kind == OCI_ARCHIVE and not is_layout:
                    raise InvalidInput(f"{place.path} is no OCI archive", remedy=f"Write docker-archive:{place.path}.")
                if is_layout:
                    yield LayoutSource(archive, place.name)
                else:
                    yield DockerArchiveSource(archive, place.name)

    @asynccontextmanager
    async def _create(self, place: Place, source: Place) -> AsyncIterator[Destination]:
        if place.reference is not None:
            async with self.registries.connect(place.reference.registry) as connection:
                yield RegistryDestination(connection, place.reference, self.progress)
        elif place.kind == LAYOUT:
            yield LayoutDestination(place.path, place.name or _tag(source), self.progress)
        else:
            name = place.name or (source.reference.familiar if source.reference else source.name)
            yield ArchiveDestination(place.path, name, self.progress, is_docker=place.kind == DOCKER_ARCHIVE)


async def transfer(source: Source, destination: Destination, document: Manifest | Index) -> int:
    """Bring all that `document` needs, not itself; gives the bytes that travelled. Raises as `Copier.copy`."""
    run = _Run(source, destination)
    await run.bring(document, depth=0)
    return run.bytes_sent


class _Run:
    """One copy at work: the blobs of a document before the document."""

    def __init__(self, source: Source, destination: Destination) -> None:
        self._source = source
        self._destination = destination
        self._gate = asyncio.Semaphore(_PARALLEL)
        self.blobs: set[Digest] = set()
        self.images = 0
        self.bytes_sent = 0

    async def bring(self, document: Manifest | Index, *, depth: int) -> None:
        """All that `document` needs, not itself."""
        if isinstance(document, Manifest):
            self.images += 1
            await self._blobs(document)
            return
        if depth == _DEEPEST:
            raise Malformed(str(document.digest), "manifests", f"indexes within indexes, more than {_DEEPEST} deep")
        for descriptor in document.manifests:
            child = await self._source.document(descriptor)
            await self.bring(child, depth=depth + 1)
            await self._destination.document(child)

    async def _blobs(self, manifest: Manifest) -> None:
        wanted = {
            blob.digest: blob
            for blob in (*manifest.layers, manifest.config)
            if blob.digest not in self.blobs and blob.media_type not in mediatypes.FOREIGN_LAYERS
        }
        self.blobs |= set(wanted)
        try:
            async with asyncio.TaskGroup() as group:
                for blob in wanted.values():
                    group.create_task(self._blob(blob))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _blob(self, blob: Descriptor) -> None:
        async with self._gate:
            sent = await self._destination.blob(blob, self._source)
        self.bytes_sent += sent  # not in one step with the waiting: another blob adds to it meanwhile


def _open_archive(place: Place, scratch: Scratch) -> ArchiveSource:
    try:
        return ArchiveSource.open(open(place.path, "rb"), place.path, scratch=scratch)
    except OSError as error:
        raise translated(error, place.path) from error


def _reference(place: Place) -> Reference:
    """For a message."""
    return place.reference or Reference("localhost", "image", place.name or None)


def _tag(place: Place) -> str:
    """What a layout calls an image that came from `place`."""
    if place.reference is not None:
        return place.reference.tag or ""
    name = place.name.rpartition("/")[2].partition("@")[0]
    return name.rpartition(":")[2]
