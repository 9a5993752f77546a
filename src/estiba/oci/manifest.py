"""Manifests and indexes (image-spec, manifest.md and image-index.md; Docker's schema 2 is the same under other names).

A parsed value keeps the bytes that it came from: a digest is of bytes, so a document that was received is never
written anew.
"""

from __future__ import annotations

from estiba.errors import NotThereYet
from estiba.oci import mediatypes
from estiba.oci.canonical_json import dumps
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.oci.json_fields import Fields, JsonObject, Malformed, parse_object
from estiba.values import NamedTuple

MAXIMUM_SIZE = 4 * 1024 * 1024
"""The largest manifest in bytes that is read (distribution-spec, "Pushing Manifests": at least 4 MiB)."""


class Manifest(NamedTuple):
    """One image for one platform, or an artifact: a config and layers, the lowest first."""

    raw: bytes
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    artifact_type: str = ""
    annotations: tuple[tuple[str, str], ...] = ()

    @classmethod
    def make(
        cls,
        config: Descriptor,
        layers: tuple[Descriptor, ...],
        *,
        media_type: str = mediatypes.OCI_MANIFEST,
        annotations: tuple[tuple[str, str], ...] = (),
    ) -> Manifest:
        """A new manifest; its bytes are canonical JSON."""
        value: JsonObject = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": config.to_json(),
            "layers": [layer.to_json() for layer in layers],
        }
        if annotations:
            value["annotations"] = dict(annotations)
        return cls(dumps(value), media_type, config, layers, None, "", tuple(sorted(annotations)))

    @property
    def digest(self) -> Digest:
        return Digest.of(self.raw)

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, self.digest, len(self.raw))

    @property
    def references(self) -> tuple[Descriptor, ...]:
        """The blobs that must be there before this manifest may be stored."""
        return (self.config, *self.layers)


class Index(NamedTuple):
    """One image for several platforms: manifests, each with its platform."""

    raw: bytes
    media_type: str
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    artifact_type: str = ""
    annotations: tuple[tuple[str, str], ...] = ()

    @classmethod
    def make(cls, manifests: tuple[Descriptor, ...], *, media_type: str = mediatypes.OCI_INDEX) -> Index:
        """A new index; its bytes are canonical JSON."""
        value: JsonObject = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "manifests": [manifest.to_json() for manifest in manifests],
        }
        return cls(dumps(value), media_type, manifests)

    @property
    def digest(self) -> Digest:
        return Digest.of(self.raw)

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, self.digest, len(self.raw))

    @property
    def references(self) -> tuple[Descriptor, ...]:
        """The manifests that this index points at."""
        return self.manifests


def parse_manifest(data: bytes, *, media_type: str = "") -> Manifest | Index:
    """Read a manifest or an index.

    `media_type` is what the transport said ("" if nothing); the document's own `mediaType` must agree with it. A
    document that says neither is told by its fields, as old OCI writers leave `mediaType` out.

    Raises:
        Malformed: no JSON, a wrong or missing field, a contradiction, or more than 4 MiB.
        NotThereYet: Docker's schema 1, which has no content addressing of its config.
    """
    if len(data) > MAXIMUM_SIZE:
        raise Malformed("manifest", "", f"{len(data)} bytes are more than the limit of {MAXIMUM_SIZE}")
    fields = Fields(parse_object(data, what="manifest"), what="manifest")
    version = fields.integer("schemaVersion")
    if version == 1 or media_type in mediatypes.SCHEMA1:
        raise NotThereYet(
            "this image has a manifest of Docker's schema 1, which was withdrawn in 2015",
            remedy="Push the image again with any current tool.",
        )
    if version != 2:
        fields.fail("schemaVersion", f"expected 2, got {version}")
    kind = _kind(fields, media_type)
    subject = fields.fields("subject")
    shared = (
        Descriptor.from_fields(subject) if subject else None,
        fields.text("artifactType", ""),
        tuple(sorted(fields.text_map("annotations").items())),
    )
    if kind in mediatypes.INDEXES:
        if "layers" in fields.value or "config" in fields.value:
            fields.fail("layers", "an index has manifests, not layers or a config")
        return Index(data, kind, _descriptors(fields, "manifests"), *shared)
    if "manifests" in fields.value:
        fields.fail("manifests", "an image manifest has layers, not manifests")
    config = fields.fields("config")
    if config is None:
        fields.fail("config", "required, but missing")
    return Manifest(data, kind, Descriptor.from_fields(config), _descriptors(fields, "layers"), *shared)


def _kind(fields: Fields, transport: str) -> str:
    own = fields.text("mediaType", "")
    if own and transport and own != transport:
        fields.fail("mediaType", f"the document says {own}, the transport says {transport}")
    kind = own or transport
    if not kind:
        kind = mediatypes.OCI_INDEX if "manifests" in fields.value else mediatypes.OCI_MANIFEST
    if kind not in mediatypes.INDEXES | mediatypes.MANIFESTS:
        fields.fail("mediaType", f"{kind!r} is neither a manifest nor an index")
    return kind


def _descriptors(fields: Fields, key: str) -> tuple[Descriptor, ...]:
    if not isinstance(fields.value.get(key), list):
        fields.fail(key, "required, but missing" if key not in fields.value else "expected an array")
    return tuple(Descriptor.from_fields(item) for item in fields.fields_list(key))
