"""Artifacts: files in a registry, each a blob that its title names (image-spec, manifest.md, "Guidelines for Artifact
Usage"; the titles are those of ORAS).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence

from estiba.errors import InvalidInput
from estiba.oci import mediatypes
from estiba.oci.canonical_json import dumps
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.oci.json_fields import JsonObject
from estiba.oci.manifest import Index, parse_manifest
from estiba.oci.reference import Reference
from estiba.registry.client import manifests, upload
from estiba.registry.client import progress as statuses
from estiba.registry.client.ask import Registries, referrers_of, referrers_tag
from estiba.registry.client.connection import Connection
from estiba.registry.client.download import stream
from estiba.registry.client.failures import NotInRegistry, UnexpectedContent
from estiba.registry.client.progress import Progress
from estiba.registry.client.tokens import Scopes, pull_scope, push_scope
from estiba.registry.protocol.endpoints import referrers_path
from estiba.store.blobs.base import Check
from estiba.store.scratch import translated
from estiba.values import NamedTuple

TITLE = "org.opencontainers.image.title"
UNPACK = "io.deis.oras.content.unpack"
DEFAULT_TYPE = "application/vnd.unknown.artifact.v1"
_FILE_TYPE = "application/vnd.oci.image.layer.v1.tar"
_PIECE = 1 << 20


class GivenFile(NamedTuple):
    """A file to push: its path, and the media type of its content."""

    path: str
    media_type: str = _FILE_TYPE

    @classmethod
    def parse(cls, text: str) -> GivenFile:
        """``PATH[:MEDIA/TYPE]``."""
        path, colon, kind = text.rpartition(":")
        return cls(path, kind) if colon and "/" in kind and not os.path.exists(text) else cls(text)


def pull(registries: Registries, reference: Reference, directory: str, *, progress: Progress) -> tuple[str, ...]:
    """Fetch the files of an artifact into `directory`; gives their paths. What has no title is left out.

    A directory that ORAS packed comes as ``TITLE.tar.gz``. A file is there whole or not at all.

    Raises:
        NotInRegistry, AccessDenied, RegistryUnreachable, RegistryFailed. Corrupt: bytes are not what their digest says.
        UnexpectedContent: an index, no titles, or a title that leads elsewhere. Unavailable: no space.
    """

    async def run() -> tuple[str, ...]:
        async with registries.connect(reference.registry) as connection:
            scopes = frozenset({pull_scope(reference.repository)})
            which = reference.digest or reference.tagged.tag or ""
            document, _ = await manifests.fetch(connection, reference, which, scopes=scopes)
            if isinstance(document, Index):
                raise UnexpectedContent(f"{reference.familiar} is an index, not an artifact")
            named = [(_path(reference, layer), layer) for layer in document.layers if TITLE in dict(layer.annotations)]
            if not named:
                raise UnexpectedContent(f"{reference.familiar} has no files with titles")
            for path, layer in named:
                await _receive(connection, reference, layer, f"{directory}/{path}", progress)
            return tuple(f"{directory}/{path}" for path, _ in named)

    return asyncio.run(run())


def push(
    registries: Registries,
    reference: Reference,
    files: Sequence[GivenFile],
    *,
    artifact_type: str,
    annotations: dict[str, str],
    subject: Reference | None = None,
    progress: Progress,
) -> Digest:
    """Send files as one artifact; gives the digest of its manifest, which is the same for the same files.

    With `subject`, in the same repository, the artifact refers to what that names now, and is found by `referrers`.

    Raises:
        NotInRegistry: there is no such subject.
        InvalidInput: a file cannot be read. AccessDenied, RegistryUnreachable, RegistryFailed.
    """
    layers = tuple(_described(file) for file in files)
    empty = Descriptor(mediatypes.OCI_EMPTY, Digest.of(b"{}"), 2, data="e30=")
    value: JsonObject = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": empty.to_json(),
        "layers": [layer.to_json() for layer in layers],
    } | ({"annotations": annotations} if annotations else {})

    async def run() -> Digest:
        async with registries.connect(reference.registry) as connection:
            target = await _target(connection, subject) if subject is not None else None
            document = parse_manifest(dumps(value | ({"subject": target.to_json()} if target else {})))
            for layer, file in zip(layers, files, strict=True):
                await _send(connection, reference, layer, file.path, progress)
            await _send(connection, reference, empty, "", progress)
            scopes = frozenset({push_scope(reference.repository)})
            await manifests.send(connection, reference, document, scopes=scopes)
            if target is not None:
                entry = document.descriptor._replace(
                    artifact_type=artifact_type, annotations=tuple(sorted(annotations.items()))
                )
                await _enlist(connection, reference, target.digest, entry, scopes)
            return document.digest

    return asyncio.run(run())


async def _target(connection: Connection, subject: Reference) -> Descriptor:
    scopes = frozenset({pull_scope(subject.repository)})
    which = subject.digest or subject.tagged.tag or ""
    document, digest = await manifests.fetch(connection, subject, which, scopes=scopes)
    return Descriptor(document.media_type, digest, len(document.raw))


async def _enlist(
    connection: Connection, reference: Reference, subject: Digest, entry: Descriptor, scopes: Scopes
) -> None:
    """Where the registry keeps no list of referrers, add `entry` to the index under the tag that takes its place
    (distribution-spec, "Pushing Manifests with Subject").
    """
    try:
        async with connection.request(
            "GET", referrers_path(reference.repository, subject), what="referrers", scopes=scopes, expect=(200,)
        ):
            return
    except NotInRegistry:
        pass
    listed = await referrers_of(connection, reference, subject, scopes=scopes)
    if entry.digest not in {one.digest for one in listed}:
        tagged = reference._replace(tag=referrers_tag(subject), digest=None)
        await manifests.send(connection, tagged, Index.make((*listed, entry)), scopes=scopes)


def _path(reference: Reference, layer: Descriptor) -> str:
    """Where a file goes below the directory."""
    annotations = dict(layer.annotations)
    title = annotations[TITLE]
    parts = title.split("/")
    if not title or "\0" in title or any(part in ("", ".", "..") for part in parts):
        raise UnexpectedContent(f"{reference.familiar} has a file whose title leads elsewhere: {title!r}")
    return f"{title}.tar.gz" if annotations.get(UNPACK) == "true" else title


async def _receive(
    connection: Connection, reference: Reference, layer: Descriptor, path: str, progress: Progress
) -> None:
    scopes = frozenset({pull_scope(reference.repository)})
    check = Check(layer.digest, layer.size)
    temporary = f"{path}.{os.getpid()}.partial"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(temporary, "xb") as file:
            async for piece in stream(connection, reference.repository, layer, 0, scopes=scopes):
                check.take(piece)
                file.write(piece)
                progress.blob(layer.digest, statuses.DOWNLOADING, done=check.size, total=layer.size)
        check.finish()
        os.rename(temporary, path)
    except OSError as error:
        raise translated(error, path) from error
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    progress.blob(layer.digest, statuses.DOWNLOADED)


def _described(file: GivenFile) -> Descriptor:
    check = Check(None, None)
    try:
        with open(file.path, "rb") as content:
            while piece := content.read(_PIECE):
                check.take(piece)
    except OSError as error:
        raise InvalidInput(f"{file.path}: {error.strerror}", remedy="Name files that can be read.") from error
    info = check.finish()
    title = os.path.basename(file.path) if file.path.startswith(("/", "..")) else os.path.normpath(file.path)
    return Descriptor(file.media_type, info.digest, info.size, annotations=((TITLE, title),))


async def _send(connection: Connection, reference: Reference, blob: Descriptor, path: str, progress: Progress) -> None:
    """A file's content, or the two bytes of the empty configuration where `path` is ""."""
    scopes = frozenset({push_scope(reference.repository)})
    if await upload.exists(connection, reference.repository, blob.digest, scopes=scopes):
        progress.blob(blob.digest, statuses.EXISTS_THERE)
        return

    async def pieces(offset: int) -> AsyncGenerator[bytes, None]:
        if not path:
            yield b"{}"[offset:]
            return
        with open(path, "rb") as file:
            file.seek(offset)
            while piece := file.read(_PIECE):
                yield piece

    await upload.send(
        connection,
        reference.repository,
        blob,
        pieces,
        location=await upload.begin(connection, reference.repository, scopes=scopes),
        scopes=scopes,
        on_bytes=lambda done: progress.blob(blob.digest, statuses.PUSHING, done=done, total=blob.size),
    )
    progress.blob(blob.digest, statuses.PUSHED)
