"""Writing images to an archive: one tar that is Docker's form and an OCI image layout at the same time.

The bytes depend on the images and their names only: on their manifests where they have travelled, else on what
`plain.for_archive` makes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from estiba.errors import InvalidInput
from estiba.image import progress as statuses
from estiba.image.archive import docker, oci
from estiba.image.archive.plain import TreeLayer, for_archive
from estiba.image.materialise import manifest_of, materialise
from estiba.image.progress import Progress, Silence
from estiba.layers.tar.writer import ChangedWhileRead
from estiba.linux.whole_files import WholeFile
from estiba.oci.digest import Digest
from estiba.oci.manifest import Manifest
from estiba.oci.reference import Reference
from estiba.store.store import Store
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import BinaryIO

DOCKER = "docker"
OCI = "oci"
_BLOCK = 512
_PIECE = 1 << 20


class Packed(NamedTuple):
    """An image that can travel, and the names that it is to travel under."""

    manifest: Manifest
    names: tuple[Reference, ...]
    trees: Mapping[Digest, TreeLayer] = MappingProxyType({})  # layers that are not stored as blobs


Chosen = tuple[Digest, tuple[Reference, ...]]
"""An image ID, and the names that it is to travel under."""


def choose(store: Store, texts: Sequence[str]) -> tuple[Chosen, ...]:
    """What `texts` name. An image that was named by its ID travels without a name.

    Raises:
        ImageNotFound, AmbiguousImage.
    """
    names: dict[Digest, list[Reference]] = {}
    for text in texts:
        match = store.images.match(text)
        found = names.setdefault(match.record.id, [])
        if match.name is not None and match.name.tag and match.name not in found:
            found.append(match.name)
    return tuple((image, tuple(found)) for image, found in names.items())


def pack_images(store: Store, images: Sequence[Chosen]) -> tuple[Packed, ...]:
    """The images, compressed as far as they are not yet. Raises what `materialise` does."""
    return tuple(Packed(manifest_of(store, materialise(store, image).digest), names) for image, names in images)


def save(
    store: Store, images: Sequence[Chosen], out: BinaryIO, *, form: str = DOCKER, progress: Progress | None = None
) -> None:
    """Write `images` (see `choose`) to `out`, which need not be seekable.

    `form` is ``docker`` (which is a valid OCI layout too) or ``oci`` (that alone).

    Raises:
        InvalidInput: another form. OSError: `out` cannot be written. What `materialise` does.
    """
    if form not in (DOCKER, OCI):
        raise InvalidInput(f"unknown archive format {form!r}", remedy="Choose docker or oci.")
    with store.leases.hold(f"save {len(images)} images"):
        if form == DOCKER:
            packed = tuple(_for_archive(store, image, names) for image, names in images)
        else:
            packed = pack_images(store, images)
        write_archive(store, packed, out, form=form, progress=progress)


def _for_archive(store: Store, image: Digest, names: tuple[Reference, ...]) -> Packed:
    manifest, trees = for_archive(store, image)
    return Packed(manifest, names, trees)


def write_archive(
    store: Store, images: Sequence[Packed], out: BinaryIO, *, form: str, progress: Progress | None = None
) -> None:
    """The tar of `images`; `progress` hears of each blob."""
    _small(out, oci.MARKER, oci.MARKER_CONTENT)
    _small(out, oci.INDEX, oci.index_json(tuple((image.manifest.descriptor, image.names) for image in images)))
    if form == DOCKER:
        entries = tuple(
            docker.Entry(
                oci.blob_name(image.manifest.config.digest),
                tuple(oci.blob_name(layer.digest) for layer in image.manifest.layers),
                image.names,
            )
            for image in images
        )
        _small(out, docker.MANIFEST, docker.manifest_json(entries))
    manifests = {image.manifest.digest: image.manifest.raw for image in images}
    trees = {digest: (tree, image) for image in images for digest, tree in image.trees.items()}
    for digest in blobs_of(images):
        if digest in manifests:
            _small(out, oci.blob_name(digest), manifests[digest])
        elif digest in trees:
            tree, image = trees[digest]
            _tree(store, out, tree, image.manifest, progress or Silence())
        else:
            _blob(store, out, digest, progress or Silence())
    out.write(bytes(2 * _BLOCK))
    out.flush()


def blobs_of(images: Sequence[Packed]) -> Iterator[Digest]:
    """Every blob of the images once: manifest, configuration, layers."""
    seen: set[Digest] = set()
    for image in images:
        for digest in (image.manifest.digest, *(part.digest for part in image.manifest.references)):
            if digest not in seen:
                seen.add(digest)
                yield digest


def _small(out: BinaryIO, name: str, data: bytes) -> None:
    out.write(_header(name, len(data)) + data + bytes(-len(data) % _BLOCK))


def _tree(store: Store, out: BinaryIO, tree: TreeLayer, manifest: Manifest, progress: Progress) -> None:
    size = next(layer.size for layer in manifest.layers if layer.digest == tree.diff_id)
    out.write(_header(oci.blob_name(tree.diff_id), size))
    counted = _Counted(out, lambda done: progress.blob(tree.diff_id, statuses.WRITING, done=done, total=size))
    tree.write(store, counted)
    if counted.done != size:
        raise ChangedWhileRead(f"layer {tree.diff_id}", expected=size, found=counted.done)
    out.write(bytes(-size % _BLOCK))
    progress.blob(tree.diff_id, statuses.WRITTEN)


class _Counted:
    """Passes on what is written, and tells how much it is by then."""

    def __init__(self, out: BinaryIO, on_bytes: Callable[[int], None]) -> None:
        self.done = 0
        self._out = out
        self._on_bytes = on_bytes

    def write(self, data: memoryview, /) -> None:
        self._out.write(data)
        self.done += len(data)
        self._on_bytes(self.done)


def _blob(store: Store, out: BinaryIO, digest: Digest, progress: Progress) -> None:
    size = store.blobs.size(digest)
    done = 0
    out.write(_header(oci.blob_name(digest), size))
    piece = memoryview(bytearray(_PIECE))  # one for all: a new one each time costs as much as the copying
    with store.blobs.open(digest) as file:
        while count := file.raw.readinto(piece):  # type: ignore[attr-defined]  # it is a buffered file
            out.write(piece[:count])
            done += count
            progress.blob(digest, statuses.WRITING, done=done, total=size)
    out.write(bytes(-size % _BLOCK))
    progress.blob(digest, statuses.WRITTEN)


def _header(name: str, size: int) -> bytes:
    from tarfile import GNU_FORMAT, TarInfo

    member = TarInfo(name)
    member.size = size
    member.mode = 0o644
    return member.tobuf(GNU_FORMAT)


def save_to_file(
    store: Store, images: Sequence[Chosen], path: str, *, form: str = DOCKER, progress: Progress | None = None
) -> None:
    """The same into the file `path`, which is there whole or not at all.

    Raises:
        As `save`, and InvalidInput: there cannot be such a file. OSError: it cannot be written.
    """
    with WholeFile(path) as out:
        save(store, images, out, form=form, progress=progress)
