"""Where a copy comes from: documents by descriptor, and the bytes of blobs."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Iterator

from estiba.errors import InvalidInput, NotFound
from estiba.image.archive import docker, oci
from estiba.image.archive import source as files
from estiba.image.archive.source import Source as Files
from estiba.layers import compression as compressions
from estiba.oci import image_config, mediatypes
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.oci.image_config import ImageConfig
from estiba.oci.manifest import MAXIMUM_SIZE, Index, Manifest, parse_manifest
from estiba.oci.reference import Reference
from estiba.registry.client import manifests
from estiba.registry.client.connection import Connection
from estiba.registry.client.download import stream
from estiba.registry.client.tokens import pull_scope
from estiba.store.store import Store
from estiba.values import Protocol

_PIECE = 1 << 20


class Source(Protocol):
    """An image, or several of an index, that can be read. `repository` is where a registry has it, "" elsewhere."""

    registry: str
    repository: str

    async def top(self) -> Manifest | Index:
        """The document that was named. Raises NotFound, Corrupt."""

    async def document(self, descriptor: Descriptor) -> Manifest | Index:
        """A document that another names; its digest is checked."""

    def pieces(self, blob: Descriptor, offset: int) -> AsyncGenerator[bytes, None]:
        """A blob's bytes from `offset` on; whoever takes them checks the digest."""


class RegistrySource:
    def __init__(self, connection: Connection, reference: Reference) -> None:
        self.registry = reference.registry
        self.repository = reference.repository
        self._connection = connection
        self._reference = reference
        self._scopes = frozenset({pull_scope(reference.repository)})

    async def top(self) -> Manifest | Index:
        which = self._reference.digest or self._reference.tag or ""
        return (await manifests.fetch(self._connection, self._reference, which, scopes=self._scopes))[0]

    async def document(self, descriptor: Descriptor) -> Manifest | Index:
        found = await manifests.fetch(self._connection, self._reference, descriptor.digest, scopes=self._scopes)
        return found[0]

    def pieces(self, blob: Descriptor, offset: int) -> AsyncGenerator[bytes, None]:
        return stream(self._connection, self.repository, blob, offset, scopes=self._scopes)


class LayoutSource:
    """An OCI image layout: a directory or a tar. `name` chooses one of several images."""

    registry = repository = ""

    def __init__(self, source: Files, name: str) -> None:
        self._files = source
        self._name = name

    async def top(self) -> Manifest | Index:
        index = parse_manifest(files.read(self._files, oci.INDEX, limit=MAXIMUM_SIZE), media_type=mediatypes.OCI_INDEX)
        assert isinstance(index, Index)
        return oci.document(self._files, _named(index, self._name, self._files.where))

    async def document(self, descriptor: Descriptor) -> Manifest | Index:
        return oci.document(self._files, descriptor)

    async def pieces(self, blob: Descriptor, offset: int) -> AsyncGenerator[bytes, None]:
        for piece in _from(self._files.pieces(oci.blob_name(blob.digest)), offset):
            yield piece


class DockerArchiveSource:
    """A ``docker save`` archive that is no OCI layout: its manifest is made here, its layers go as they lie there."""

    registry = repository = ""

    def __init__(self, source: Files, name: str) -> None:
        self._files = source
        self._name = name
        self._places: dict[Digest, str] = {}

    async def top(self) -> Manifest | Index:
        entry = self._entry()
        raw = files.read(self._files, entry.config, limit=image_config.MAXIMUM_SIZE)
        config = Descriptor(mediatypes.OCI_CONFIG, ImageConfig.parse(raw).image_id, len(raw))
        self._places[config.digest] = entry.config
        return Manifest.make(config, tuple(self._layer(name) for name in entry.layers))

    async def document(self, descriptor: Descriptor) -> Manifest | Index:
        raise NotFound(f"{self._files.where} has no document {descriptor.digest}")

    async def pieces(self, blob: Descriptor, offset: int) -> AsyncGenerator[bytes, None]:
        for piece in _from(self._files.pieces(self._places[blob.digest]), offset):
            yield piece

    def _entry(self) -> docker.Entry:
        entries = docker.entries(self._files)
        if self._name:
            wanted = Reference.parse(self._name).tagged
            entries = tuple(entry for entry in entries if wanted in entry.names)
        if len(entries) == 1:
            return entries[0]
        if not entries:
            raise NotFound(f"{self._files.where} has no image {self._name or 'at all'}")
        raise InvalidInput(
            f"{self._files.where} has {len(entries)} images", remedy="Name one: docker-archive:FILE:NAME[:TAG]."
        )

    def _layer(self, name: str) -> Descriptor:
        digest = hashlib.sha256()
        size = 0
        kind = ""
        for piece in self._files.pieces(name):
            kind = kind or compressions.detect(piece)
            digest.update(piece)
            size += len(piece)
        found = Digest("sha256", digest.hexdigest())
        self._places[found] = name
        return Descriptor(mediatypes.oci_layer(kind or compressions.NONE), found, size)


class StoreSource:
    """An image of the store; what has never travelled is compressed first."""

    registry = repository = ""

    def __init__(self, store: Store, manifest: Digest) -> None:
        self._store = store
        self._manifest = manifest

    async def top(self) -> Manifest | Index:
        return parse_manifest(self._store.blobs.read(self._manifest, limit=MAXIMUM_SIZE))

    async def document(self, descriptor: Descriptor) -> Manifest | Index:
        return parse_manifest(self._store.blobs.read(descriptor.digest, limit=MAXIMUM_SIZE))

    async def pieces(self, blob: Descriptor, offset: int) -> AsyncGenerator[bytes, None]:
        with self._store.blobs.open(blob.digest) as file:
            file.seek(offset)
            while piece := file.read(_PIECE):
                yield piece


def _from(pieces: Iterator[bytes], offset: int) -> Iterator[bytes]:
    for piece in pieces:
        if offset >= len(piece):
            offset -= len(piece)
            continue
        yield piece[offset:] if offset else piece
        offset = 0


def _named(index: Index, name: str, where: str) -> Descriptor:
    """The entry of a layout's index that `name` means: a tag, a full name, or, where there is only one, nothing."""
    found = [one for one in index.manifests if not name or name in _names(one)]
    different = {one.digest: one for one in found}
    if len(different) == 1:
        return found[0]
    there = sorted({text for one in index.manifests for text in _names(one)})
    names = f"; it has {', '.join(there)}" if there else ""
    if not different:
        raise NotFound(f"{where} has no image {name or 'at all'}{names}", remedy="See its index.json.")
    raise InvalidInput(f"{where} has {len(different)} images{names}", remedy="Name one: PATH:NAME.")


def _names(descriptor: Descriptor) -> tuple[str, ...]:
    annotations = dict(descriptor.annotations)
    return tuple(annotations[key] for key in (oci.REF_NAME, oci.IMAGE_NAME) if key in annotations)
