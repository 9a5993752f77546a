"""Archives of images for tests, as bytes: written by hand, so that a test can make each part as wrong as it likes."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence

from estiba.oci import mediatypes
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.oci.image_config import History, ImageConfig, RunConfig
from estiba.oci.manifest import Index, Manifest
from estiba.oci.platform import Platform

PLATFORM = Platform("linux", "amd64")


def tar(files: Mapping[str, bytes | str]) -> bytes:
    """A tar of `files`: bytes are a file's content, a text is where a symbolic link leads; NAME/ is a directory.

    Owned by who runs the tests, so that everybody can unpack it.
    """
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name.rstrip("/"))
            member.uid, member.gid, member.mtime = os.geteuid(), os.getegid(), 315532800
            if name.endswith("/"):
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(member)
            elif isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size, member.mode = len(content), 0o644
                archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def config_of(layers: Sequence[bytes], *, platform: Platform = PLATFORM, run: RunConfig | None = None) -> ImageConfig:
    """The configuration of an image with these layers, which are uncompressed tars."""
    return ImageConfig.make(
        platform=platform,
        run=run or RunConfig(cmd=("sh",), env=("A=1",)),
        diff_ids=tuple(map(Digest.of, layers)),
        history=tuple(History(created="1980-01-01T00:00:00Z", created_by=f"step {i}") for i, _ in enumerate(layers)),
    )


def docker_archive(
    layers: Sequence[bytes], *, names: Sequence[str] = ("example:1",), config: ImageConfig | None = None
) -> bytes:
    """An archive as Docker wrote them before it took to OCI layouts."""
    config = config or config_of(layers)
    files: dict[str, bytes | str] = {f"{config.image_id.hex}.json": config.raw}
    paths = []
    for number, layer in enumerate(layers):
        paths.append(f"{number:064x}/layer.tar")
        files[f"{number:064x}/VERSION"] = b"1.0"
        files[paths[-1]] = layer
    files["manifest.json"] = json.dumps(
        [{"Config": f"{config.image_id.hex}.json", "RepoTags": list(names), "Layers": paths}]
    ).encode()
    return tar(files)


def oci_files(
    layers: Sequence[bytes],
    *,
    stored: Sequence[tuple[str, bytes]] | None = None,
    names: Sequence[str] = ("example:1",),
    config: ImageConfig | None = None,
) -> dict[str, bytes | str]:
    """The files of an OCI layout; `stored` are the layers as (compression, bytes) where they are not plain."""
    config = config or config_of(layers)
    stored = stored or [("none", layer) for layer in layers]
    descriptors = tuple(Descriptor(mediatypes.oci_layer(kind), Digest.of(data), len(data)) for kind, data in stored)
    manifest = Manifest.make(Descriptor(mediatypes.OCI_CONFIG, config.image_id, len(config.raw)), descriptors)
    entries = tuple(
        manifest.descriptor._replace(annotations=(("org.opencontainers.image.ref.name", name),)) for name in names
    ) or (manifest.descriptor,)
    return {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": Index.make(entries).raw,
        **{f"blobs/sha256/{Digest.of(data).hex}": data for data in (manifest.raw, config.raw, *(d for _, d in stored))},
    }
