"""OCI image layouts as directories (image-spec, image-layout.md): written, and the store itself made into one."""

from __future__ import annotations

import os
from collections.abc import Sequence

from estiba.errors import AlreadyExists
from estiba.image.archive import oci
from estiba.image.archive.save import Chosen, Packed, blobs_of, choose, pack_images
from estiba.oci import manifest as manifests
from estiba.oci import mediatypes
from estiba.oci.descriptor import Descriptor
from estiba.oci.manifest import Index, Manifest, parse_manifest
from estiba.store.blobs.directory import DirectoryBlobs
from estiba.store.scratch import Scratch, sync_directory, translated
from estiba.store.store import Store

_PIECE = 1 << 20


def export_layout(store: Store, chosen: Sequence[Chosen], directory: str) -> None:
    """Write images to a new layout in `directory`, which must be missing or empty.

    Raises:
        AlreadyExists: there is something. Unavailable: no space. What `materialise` does.
    """
    if os.path.lexists(directory) and (not os.path.isdir(directory) or os.listdir(directory)):
        raise AlreadyExists(f"{directory} is there and not empty", remedy="Name a directory that does not exist.")
    with store.leases.hold(f"export {len(chosen)} images to {directory}"):
        images = pack_images(store, chosen)
        try:
            os.makedirs(f"{directory}/blobs/sha256", exist_ok=True)
            for digest in blobs_of(images):
                target = DirectoryBlobs(f"{directory}/blobs", Scratch(directory))
                with store.blobs.open(digest) as file, target.writer(expected=digest) as writer:
                    while piece := file.read(_PIECE):
                        writer.write(piece)
                    writer.commit()
            _finish(directory, images)
        except OSError as error:
            raise translated(error, error.filename or directory) from error


def add_to_layout(directory: str, document: Manifest | Index, name: str) -> None:
    """Let a layout's index name `document`, whose content is in the layout; whatever had that name before loses it.

    The layout is made where there is none yet. Raises Corrupt: its index is damaged. OSError.
    """
    path = f"{directory}/{oci.INDEX}"
    others: tuple[Descriptor, ...] = ()
    if os.path.exists(path):
        with open(path, "rb") as file:
            index = parse_manifest(file.read(manifests.MAXIMUM_SIZE + 1), media_type=mediatypes.OCI_INDEX)
        others = tuple(one for one in index.references if not _is_replaced(one, document, name))
    annotations = ((oci.REF_NAME, name),) if name else ()
    mine = document.descriptor._replace(annotations=annotations)
    _write(directory, oci.MARKER, oci.MARKER_CONTENT)
    _write(directory, oci.INDEX, Index.make((*others, mine)).raw)
    sync_directory(directory)


def _is_replaced(one: Descriptor, document: Manifest | Index, name: str) -> bool:
    has = dict(one.annotations).get(oci.REF_NAME, "")
    return has == name and (bool(name) or one.digest == document.digest)


def make_root_a_layout(store: Store) -> tuple[Packed, ...]:
    """Make the store's root a valid layout of every image that has a name, as it is now; gives the images.

    Other tools read it in place; what later changes here shows after the next call.
    """
    with store.leases.hold("make the root a layout"):
        images = pack_images(store, choose(store, [str(record.name) for record in store.references.list()]))
        try:
            store.scratch.publish(oci.MARKER_CONTENT, store.paths.oci_layout)
            store.scratch.publish(_index(images), store.paths.index_json)
        except OSError as error:
            raise translated(error, store.paths.index_json) from error
    return images


def _finish(directory: str, images: Sequence[Packed]) -> None:
    """The two small files, the one that names things last."""
    _write(directory, oci.MARKER, oci.MARKER_CONTENT)
    _write(directory, oci.INDEX, _index(images))
    sync_directory(directory)


def _index(images: Sequence[Packed]) -> bytes:
    return oci.index_json(tuple((image.manifest.descriptor, image.names) for image in images))


def _write(directory: str, name: str, data: bytes) -> None:
    temporary = f"{directory}/.{name}.{os.getpid()}"
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, f"{directory}/{name}")
