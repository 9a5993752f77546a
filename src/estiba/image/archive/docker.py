"""Docker's archives: a ``manifest.json`` that names configurations and layers (moby, image/spec/v1.2)."""

from __future__ import annotations

import json
from typing import NamedTuple

from estiba.image.archive import source as sources
from estiba.image.archive.intake import LayerFile, take_image
from estiba.image.archive.source import Source
from estiba.oci import image_config
from estiba.oci.image_config import ImageConfig
from estiba.oci.json_fields import Fields, Malformed
from estiba.oci.reference import InvalidReference, Reference
from estiba.store.images import ImageRecord
from estiba.store.store import Store

MANIFEST = "manifest.json"
_LARGEST_MANIFEST = 4 << 20


class Entry(NamedTuple):
    """One image of the archive: names of files in it, and the names that the image gets."""

    config: str
    layers: tuple[str, ...]
    names: tuple[Reference, ...]


class Loaded(NamedTuple):
    """An image that was taken in, and the names that it has got."""

    record: ImageRecord
    names: tuple[Reference, ...]


def entries(source: Source) -> tuple[Entry, ...]:
    """What ``manifest.json`` tells. Raises Malformed, FileMissing."""
    what = f"{source.where}: {MANIFEST}"
    try:
        value = json.loads(sources.read(source, MANIFEST, limit=_LARGEST_MANIFEST))
    except (ValueError, RecursionError) as error:
        raise Malformed(what, "", f"not JSON: {error}") from None
    fields = Fields({"images": value}, what=what)
    return tuple(_entry(image) for image in fields.fields_list("images"))


def load(store: Store, source: Source) -> tuple[Loaded, ...]:
    """Take in every image of the archive. The caller holds a lease.

    Raises:
        Corrupt: a missing file, a digest that is another. Unavailable: no space.
    """
    loaded = []
    for entry in entries(source):
        config = ImageConfig.parse(sources.read(source, entry.config, limit=image_config.MAXIMUM_SIZE))
        layers = tuple(LayerFile(name) for name in entry.layers)
        record = take_image(store, source, config, layers, manifest=None)
        for name in entry.names:
            store.references.set(name, record.id)
        loaded.append(Loaded(record, entry.names))
    return tuple(loaded)


def manifest_json(images: tuple[Entry, ...]) -> bytes:
    """The document for these images."""
    value = [
        {
            "Config": image.config,
            "RepoTags": [name.familiar for name in image.names] or None,
            "Layers": list(image.layers),
        }
        for image in images
    ]
    return json.dumps(value, separators=(",", ":")).encode()


def _entry(fields: Fields) -> Entry:
    names = []
    for text in fields.texts("RepoTags"):
        try:
            names.append(Reference.parse(text).tagged)
        except InvalidReference as error:
            fields.fail("RepoTags", error.message)
    return Entry(fields.text("Config"), fields.texts("Layers"), tuple(names))
