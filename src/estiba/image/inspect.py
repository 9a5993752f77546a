"""An image told in Docker's fields (Docker Engine API, "Inspect an image")."""

from __future__ import annotations

from estiba.image.image import Image
from estiba.oci import json_text
from estiba.oci.json_fields import JsonObject
from estiba.store.store import Store

_EMPTY_CONFIG: JsonObject = {
    "Hostname": "",
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": None,
    "Cmd": None,
    "Image": "",
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": None,
}


def inspect_image(store: Store, image: Image) -> JsonObject:
    """All about one image. `GraphDriver` tells the snapshotter and the directory of the top layer."""
    document: JsonObject = json_text.loads(image.config.raw.decode(), what=f"the configuration of image {image.id}")
    run = document.get("config")
    config = image.config
    value: JsonObject = {
        "Id": str(image.id),
        "RepoTags": list(image.tags),
        "RepoDigests": list(image.digests),
        "Parent": "",
        "Comment": config.history[-1].comment if config.history else "",
        "Created": config.created,
        "DockerVersion": document.get("docker_version", ""),
        "Author": config.author,
        "Config": {**_EMPTY_CONFIG, **(run if isinstance(run, dict) else {})},
        "Architecture": config.platform.architecture,
    }
    if config.platform.variant:
        value["Variant"] = config.platform.variant
    value |= {
        "Os": config.platform.os,
        "Size": image.record.size,
        "VirtualSize": image.record.size,
        "GraphDriver": {"Name": store.snapshots.kind, "Data": _places(store, image)},
        "RootFS": {"Type": "layers", "Layers": [str(diff_id) for diff_id in config.diff_ids]},
        "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"},
    }
    value["Descriptor"] = {"digest": str(image.record.manifest)} if image.record.manifest else None
    return value


def _places(store: Store, image: Image) -> JsonObject:
    chain = image.config.chain_id
    if chain is None or not store.snapshots.has(chain):
        return {}
    top, *below = store.snapshots.directories(chain)
    return {"UpperDir": top, "LowerDir": ":".join(below)} if below else {"UpperDir": top}
