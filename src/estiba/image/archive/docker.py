"""Docker's archives: a ``manifest.json`` that names configurations and layers (moby, image/spec/v1.2)."""

from __future__ import annotations

import json

from estiba.image.archive import source as sources
from estiba.image.archive.source import Source
from estiba.oci.json_fields import Fields, Malformed
from estiba.oci.reference import InvalidReference, Reference
from estiba.values import NamedTuple

MANIFEST = "manifest.json"
_LARGEST_MANIFEST = 4 << 20


class Entry(NamedTuple):
    """One image of the archive: names of files in it, and the names that the image gets."""

    config: str
    layers: tuple[str, ...]
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
