"""Manifests, indexes and lists as Docker's tools show them."""

from __future__ import annotations

import base64
import json

from estiba.cli.printable import printable
from estiba.oci import mediatypes
from estiba.oci.manifest import Index
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estiba.oci.manifest import Manifest
    from estiba.registry.client.lists.draft import Entry


def plain(document: Manifest | Index) -> str:
    """The document, laid out for people."""
    return _text(json.loads(document.raw))


def verbose(top: Manifest | Index, entries: Sequence[Entry]) -> str:
    """One object for a manifest, an array of them for an index: name, descriptor, the bytes, and what they say."""
    described = [_described(entry) for entry in entries]
    return _text(described if isinstance(top, Index) else described[0])


def _described(entry: Entry) -> dict[str, object]:
    value: dict[str, object] = {
        "Ref": entry.source.familiar,
        "Descriptor": entry.descriptor.to_json(),
        "Raw": base64.b64encode(entry.raw).decode(),
    }
    if entry.descriptor.media_type == mediatypes.DOCKER_MANIFEST:
        value["SchemaV2Manifest"] = json.loads(entry.raw)
    elif entry.descriptor.media_type == mediatypes.OCI_MANIFEST:
        value["OCIManifest"] = json.loads(entry.raw)
    return value


def _text(value: object) -> str:
    return printable(json.dumps(value, indent="\t", ensure_ascii=False), lines=True)
