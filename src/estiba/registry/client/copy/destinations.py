"""Where a copy goes: blobs first, the documents that name them after, the name last."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from tarfile import GNU_FORMAT, TarInfo

from estiba.errors import AlreadyExists, InvalidInput
from estiba.image.archive import docker, oci
from estiba.image.layout import add_to_layout
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.oci.manifest import Index, Manifest
from estiba.oci.reference import InvalidReference, Reference
from estiba.registry.client import manifests, upload
from estiba.registry.client import progress as statuses
from estiba.registry.client.connection import Connection
from estiba.registry.client.copy.sources import Source
from estiba.registry.client.failures import AccessDenied, NotInRegistry, Refused
from estiba.registry.client.progress import Progress
from estiba.registry.client.tokens import Scopes, pull_scope, push_scope
from estiba.store.blobs.base import Check
from estiba.store.blobs.directory import DirectoryBlobs
from estiba.store.scratch import Scratch, translated
from estiba.values import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing import BinaryIO

_BLOCK = 512
_BUFFER = 4 << 20
_PIECE = 1 << 20


class Destination(Protocol):
    """Takes one image, or those of one index."""

    async def blob(self, blob: Descriptor, source: Source) -> int:
        """Bring a blob; gives the bytes that travelled. Raises DigestMismatch, SizeMismatch, what the place raises."""

    async def document(self, document: Manifest | Index) -> None:
        """Keep a document that the last one names, whose own references are there."""

    async def finish(self, top: Manifest | Index) -> None:
        """Keep the last document and give it its name."""

    def abandon(self) -> None:
        """Leave nothing that could be taken for the whole."""


async def _written(
    pieces: AsyncGenerator[bytes, None], write: Callable[[bytes], int], on_bytes: Callable[[int], None]
) -> None:
    """Give `pieces` to `write`, a megabyte at a time, in a thread that hashes and writes while the next ones come."""
    loop = asyncio.get_running_loop()
    parts: list[bytes] = []
    held = done = 0
    writing: asyncio.Future[int] | None = None
    try:
        async for piece in pieces:
            parts.append(piece)
            held += len(piece)
            if held >= _PIECE:
                if writing is not None:
                    on_bytes(done := done + await writing)
                writing = loop.run_in_executor(None, write, b"".join(parts))
                parts, held = [], 0
    finally:
        if writing is not None:
            await asyncio.wait([writing])  # also when this is cancelled: the thread has the file in its hands
    if writing is not None:
        on_bytes(done := done + writing.result())
    if parts:
        on_bytes(done + await loop.run_in_executor(None, write, b"".join(parts)))


@dataclass(frozen=True, slots=True)
class RegistryDestination:
    """A repository: what is there is not sent, what another repository of the registry has is mounted."""

    connection: Connection
    reference: Reference
    progress: Progress

    @property
    def scopes(self) -> Scopes:
        return frozenset({push_scope(self.reference.repository)})

    async def blob(self, blob: Descriptor, source: Source) -> int:
        repository = self.reference.repository
        if await upload.exists(self.connection, repository, blob.digest, scopes=self.scopes):
            self.progress.blob(blob.digest, statuses.EXISTS_THERE)
            return 0
        location: str | None = ""
        if source.registry == self.reference.registry and source.repository != repository:
            location = await self._mount(blob, source.repository)
            if location is None:
                self.progress.blob(blob.digest, statuses.MOUNTED.format(source.repository))
                return 0
        location = location or await upload.begin(self.connection, repository, scopes=self.scopes)
        await upload.send(
            self.connection,
            repository,
            blob,
            lambda offset: source.pieces(blob, offset),
            location=location,
            scopes=self.scopes,
            on_bytes=lambda done: self.progress.blob(blob.digest, statuses.PUSHING, done=done, total=blob.size),
        )
        self.progress.blob(blob.digest, statuses.PUSHED)
        return blob.size

    async def _mount(self, blob: Descriptor, source: str) -> str | None:
        scopes = self.scopes | {pull_scope(source)}
        try:
            return await upload.mount(
                self.connection, self.reference.repository, blob.digest, source=source, scopes=scopes
            )
        except (AccessDenied, NotInRegistry, Refused):
            return ""

    async def document(self, document: Manifest | Index) -> None:
        by_digest = self.reference._replace(tag=None, digest=document.digest)
        await manifests.send(self.connection, by_digest, document, scopes=self.scopes)

    async def finish(self, top: Manifest | Index) -> None:
        if self.reference.digest not in (None, top.digest):
            raise InvalidInput(
                f"{self.reference.familiar} names another digest than what is copied, {top.digest}",
                remedy="Name the destination by a tag.",
            )
        await manifests.send(self.connection, self.reference, top, scopes=self.scopes)

    def abandon(self) -> None:
        """Blobs without a manifest are the registry's to remove."""


class LayoutDestination:
    """A directory: a new layout, or one more image of one that is there. Blobs that are there are not fetched."""

    def __init__(self, directory: str, name: str, progress: Progress) -> None:
        self._directory = directory
        self._name = name
        self._progress = progress
        if os.path.isdir(directory) and os.listdir(directory) and not os.path.exists(f"{directory}/{oci.INDEX}"):
            raise AlreadyExists(
                f"{directory} is there and no image layout", remedy="Name a layout, or a directory that does not exist."
            )
        try:
            os.makedirs(f"{directory}/blobs/sha256", exist_ok=True)
        except OSError as error:
            raise translated(error, directory) from error
        self._blobs = DirectoryBlobs(f"{directory}/blobs", Scratch(directory))

    async def blob(self, blob: Descriptor, source: Source) -> int:
        if self._blobs.has(blob.digest) and self._blobs.size(blob.digest) == blob.size:
            self._progress.blob(blob.digest, statuses.EXISTS_HERE)
            return 0
        with self._blobs.writer(expected=blob.digest, size=blob.size) as writer:
            await _written(
                source.pieces(blob, 0),
                writer.write,
                lambda done: self._progress.blob(blob.digest, statuses.DOWNLOADING, done=done, total=blob.size),
            )
            await asyncio.get_running_loop().run_in_executor(None, writer.commit)
        self._progress.blob(blob.digest, statuses.DOWNLOADED)
        return blob.size

    async def document(self, document: Manifest | Index) -> None:
        self._blobs.put(document.raw)

    async def finish(self, top: Manifest | Index) -> None:
        await self.document(top)
        try:
            add_to_layout(self._directory, top, self._name)
        except OSError as error:
            raise translated(error, self._directory) from error

    def abandon(self) -> None:
        """Blobs that nothing names are no image."""


class ArchiveDestination:
    """A tar, which is there whole or not at all; `form` is ``oci``, or ``docker``, which is both."""

    def __init__(self, path: str, name: str, progress: Progress, *, is_docker: bool) -> None:
        self._path = path
        self._name = name
        self._progress = progress
        self._is_docker = is_docker
        self._turn = asyncio.Lock()
        self._written: set[Digest] = set()
        self._temporary = f"{path}.{os.getpid()}.partial"
        try:
            self._out: BinaryIO = open(self._temporary, "xb", buffering=_BUFFER)
        except OSError as error:
            raise translated(error, path) from error

    async def blob(self, blob: Descriptor, source: Source) -> int:
        async with self._turn:  # one after the other
            if blob.digest in self._written:
                return 0
            check = Check(blob.digest, blob.size)
            try:
                self._out.write(_header(oci.blob_name(blob.digest), blob.size))
                async for piece in source.pieces(blob, 0):
                    check.take(piece)
                    self._out.write(piece)
                    self._progress.blob(blob.digest, statuses.DOWNLOADING, done=check.size, total=blob.size)
                check.finish()
                self._out.write(bytes(-blob.size % _BLOCK))
            except OSError as error:
                raise translated(error, self._path) from error
            self._written.add(blob.digest)
            self._progress.blob(blob.digest, statuses.DOWNLOADED)
            return blob.size

    async def document(self, document: Manifest | Index) -> None:
        if document.digest not in self._written:
            self._written.add(document.digest)
            self._small(oci.blob_name(document.digest), document.raw)

    async def finish(self, top: Manifest | Index) -> None:
        names = _names(self._name)
        if self._is_docker:
            if isinstance(top, Index):
                raise InvalidInput(
                    "a docker-archive holds one image, this is an index of several",
                    remedy="Choose one with --platform, or write oci-archive:FILE.",
                )
            layers = tuple(oci.blob_name(layer.digest) for layer in top.layers)
            entry = docker.Entry(oci.blob_name(top.config.digest), layers, names)
            self._small(docker.MANIFEST, docker.manifest_json((entry,)))
        await self.document(top)
        self._small(oci.MARKER, oci.MARKER_CONTENT)
        self._small(oci.INDEX, oci.index_json(((top.descriptor, names),)))
        try:
            self._out.write(bytes(2 * _BLOCK))
            self._out.flush()
            os.fsync(self._out.fileno())
            self._out.close()
            os.rename(self._temporary, self._path)
        except OSError as error:
            raise translated(error, self._path) from error

    def abandon(self) -> None:
        self._out.close()
        try:
            os.unlink(self._temporary)
        except FileNotFoundError:
            pass

    def _small(self, name: str, data: bytes) -> None:
        try:
            self._out.write(_header(name, len(data)) + data + bytes(-len(data) % _BLOCK))
        except OSError as error:
            raise translated(error, self._path) from error


def _names(text: str) -> tuple[Reference, ...]:
    """The names that an archive gives: Docker's form needs whole ones."""
    try:
        return (Reference.parse(text).tagged,) if text else ()
    except InvalidReference:
        raise InvalidInput(
            f"{text!r} cannot name an image in an archive", remedy="Write NAME[:TAG], or leave it out."
        ) from None


def _header(name: str, size: int) -> bytes:
    member = TarInfo(name)
    member.size = size
    member.mode = 0o644
    return member.tobuf(GNU_FORMAT)
