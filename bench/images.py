"""Images that are made of trees without any engine: an OCI image layout, and the archive that every engine loads.

The layers are GNU tar's, compressed by pigz in one gzip member each: nobody's home ground.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.workspace import call

MANY = "localhost/bench/many"
_CREATED = "2024-01-01T00:00:00Z"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class LayerFiles(NamedTuple):
    """One layer on disk, plain and compressed; `digest` and `size` are of the compressed one."""

    tar: Path
    blob: Path
    diff_id: str
    digest: str
    size: int


class ImageFiles(NamedTuple):
    """One image: its layers, lowest first, its layout (tag ``latest``) and its archive for `docker load`."""

    layers: tuple[LayerFiles, ...]
    layout: Path
    archive: Path


def image_of(trees: Sequence[Path], place: Path, *, name: str) -> ImageFiles:
    """The image whose layers are these trees, in `place`; the archive calls it `name`. Made once."""
    blobs = place / "layout/blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    layers = tuple(_layer(tree, place / f"layer{number}.tar", blobs) for number, tree in enumerate(trees))
    config = _document(_configuration([layer.diff_id for layer in layers]))
    _write_layout(place / "layout", config, layers)
    archive = place / "image.tar"
    write_archive(archive, [(config, [name])], [layer.tar for layer in layers])
    return ImageFiles(layers, place / "layout", archive)


def many_images(path: Path, *, count: int) -> None:
    """An archive of `count` images that share one layer of one file, called `MANY` and a number."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as layer:
        _add(layer, "etc/hello", b"hello\n")
    tar = path.with_suffix(".layer")
    tar.write_bytes(content.getvalue())
    diff_id = "sha256:" + hashlib.sha256(content.getvalue()).hexdigest()
    images = [
        (_document(_configuration([diff_id], labels={"number": str(number)})), [f"{MANY}{number}:latest"])
        for number in range(count)
    ]
    write_archive(path, images, [tar])


def write_archive(path: Path, images: Sequence[tuple[bytes, list[str]]], layers: Sequence[Path]) -> None:
    """What `docker save` has always written: images as configuration and names, all with the same plain layers."""
    with tarfile.open(path, "w") as out:
        names = [f"layer{number}/layer.tar" for number in range(len(layers))]
        for layer, name in zip(layers, names, strict=True):
            out.add(layer, name)
        entries = []
        for config, tags in images:
            file = hashlib.sha256(config).hexdigest() + ".json"
            _add(out, file, config)
            entries.append({"Config": file, "RepoTags": tags, "Layers": names})
        _add(out, "manifest.json", _document(entries))


def _layer(tree: Path, tar: Path, blobs: Path) -> LayerFiles:
    call(["tar", "-C", str(tree), "--numeric-owner", "--sort=name", "-cf", str(tar), "."])
    compressed = tar.with_suffix(".tar.gz")
    call(["sh", "-c", f"pigz -n -6 <{tar} >{compressed}"])
    digest = _sha256(compressed)
    compressed.rename(blobs / digest)
    size = (blobs / digest).stat().st_size
    return LayerFiles(tar, blobs / digest, "sha256:" + _sha256(tar), f"sha256:{digest}", size)


def _write_layout(place: Path, config: bytes, layers: Sequence[LayerFiles]) -> None:
    manifest = _document(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _put(place, config, _CONFIG),
            "layers": [{"mediaType": _LAYER, "digest": layer.digest, "size": layer.size} for layer in layers],
        }
    )
    entry = _put(place, manifest, _MANIFEST) | {"annotations": {"org.opencontainers.image.ref.name": "latest"}}
    (place / "index.json").write_bytes(_document({"schemaVersion": 2, "manifests": [entry]}))
    (place / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


def _put(place: Path, data: bytes, media_type: str) -> dict[str, object]:
    digest = hashlib.sha256(data).hexdigest()
    (place / "blobs/sha256" / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def _configuration(diff_ids: Sequence[str], labels: dict[str, str] | None = None) -> dict[str, object]:
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": _CREATED,
        "config": {"Labels": labels or {}},
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        "history": [{"created": _CREATED} for _ in diff_ids],
    }


def _document(value: object) -> bytes:
    return json.dumps(value).encode()


def _add(out: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    out.addfile(member, io.BytesIO(data))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
