"""What a registry holds, seen from outside: through its HTTP API."""

from __future__ import annotations

import json
import urllib.request
from typing import NamedTuple

_ACCEPT = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.oci.image.index.v1+json"
)


class Layer(NamedTuple):
    """One blob of an image; `created_by` is the Dockerfile's line that made it."""

    digest: str
    size: int
    created_by: str


class Published(NamedTuple):
    """An image in a registry: its manifest's digest and size, its configuration and its layers from the bottom up."""

    digest: str
    size: int
    config: Layer
    layers: tuple[Layer, ...]

    @property
    def blobs(self) -> dict[str, int]:
        """Digest and size of everything but the manifest."""
        return {blob.digest: blob.size for blob in (self.config, *self.layers)}


def published(address: str, repository: str, tag: str) -> Published:
    """Asks a registry for an image's manifest and configuration."""
    manifest, digest = _get(f"http://{address}/v2/{repository}/manifests/{tag}")
    document = json.loads(manifest)
    config, _ = _get(f"http://{address}/v2/{repository}/blobs/{document['config']['digest']}")
    history = json.loads(config).get("history", [])
    steps = [str(step.get("created_by", "")) for step in history if not step.get("empty_layer")]
    layers = [
        Layer(layer["digest"], layer["size"], steps[number] if number < len(steps) else "")
        for number, layer in enumerate(document["layers"])
    ]
    own = Layer(document["config"]["digest"], document["config"]["size"], "")
    return Published(digest, len(manifest), own, tuple(layers))


def _get(url: str) -> tuple[bytes, str]:
    request = urllib.request.Request(url, headers={"Accept": _ACCEPT})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read(), answer.headers.get("Docker-Content-Digest", "")
