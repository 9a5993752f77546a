"""Descriptors: what a document says of the content it points at (image-spec, descriptor.md)."""

from __future__ import annotations

from estiba.oci.digest import Digest, InvalidDigest
from estiba.oci.json_fields import Fields, JsonObject
from estiba.oci.platform import Platform
from estiba.values import NamedTuple


class Descriptor(NamedTuple):
    """`size` is in bytes; `annotations` are pairs sorted by key, so that the value stays hashable."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: tuple[tuple[str, str], ...] = ()
    artifact_type: str = ""
    urls: tuple[str, ...] = ()
    data: str = ""

    @classmethod
    def from_fields(cls, fields: Fields) -> Descriptor:
        """Read one.

        Raises:
            Malformed: a missing or wrong field, a digest that is none, a negative size.
        """
        try:
            digest = Digest.parse(fields.text("digest"))
        except InvalidDigest as error:
            fields.fail("digest", error.message)
        size = fields.integer("size")
        if size < 0:
            fields.fail("size", f"{size} is negative")
        platform = fields.fields("platform")
        return cls(
            fields.text("mediaType"),
            digest,
            size,
            Platform.from_json(dict(platform.value)) if platform else None,
            tuple(sorted(fields.text_map("annotations").items())),
            fields.text("artifactType", ""),
            fields.texts("urls"),
            fields.text("data", ""),
        )

    def to_json(self) -> JsonObject:
        value: JsonObject = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.platform:
            value["platform"] = self.platform.to_json()
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        if self.artifact_type:
            value["artifactType"] = self.artifact_type
        if self.urls:
            value["urls"] = list(self.urls)
        if self.data:
            value["data"] = self.data
        return value
