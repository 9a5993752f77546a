"""Parsers of what strangers write, each as a function of bytes: whatever comes is read, or refused by an `errors` kind.

`TARGETS` are run by hypothesis (`contracts/test_parsers_take_any_bytes.py`) and by atheris (`scripts/fuzz`); `SEEDS` is
what each begins with.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import zstandard

import archives
from corpus import TARS
from estiba.builder.context import ignore
from estiba.builder.step.archives import unpack_if_archive
from estiba.builder.step.writing import Owner
from estiba.dockerfile import bases_needed, lower, parse, stages
from estiba.errors import EstibaError
from estiba.image.archive import docker, oci
from estiba.image.archive.load import load
from estiba.image.archive.source import ArchiveSource
from estiba.layers.decompress import VerifiedStream
from estiba.layers.unpack import UnpackLimits, unpack
from estiba.oci.image_config import ImageConfig
from estiba.oci.manifest import parse_manifest
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.registry.protocol.challenges import parse_challenges
from estiba.registry.protocol.errors import decode
from estiba.registry.protocol.pagination import next_page
from estiba.registry.protocol.ranges import offset_of, parse_content_range
from estiba.store.scratch import Scratch
from estiba.store.store import Store

PLATFORM = Platform("linux", "amd64")
_LIMITS = UnpackLimits(size=1 << 22, entries=5000, names=1 << 20)
_LAYERS = (archives.tar({"etc/": b"", "etc/name": b"low"}), archives.tar({"b": b"high"}))


@contextmanager
def place() -> Iterator[str]:
    """A directory to unpack into, beside one that must stay as it is."""
    top = tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    try:
        for name in ("into", "outside"):
            os.mkdir(f"{top}/{name}")
        with open(f"{top}/outside/secret", "w", encoding="ascii") as file:
            file.write("secret")
        yield f"{top}/into"
        assert sorted(os.listdir(top)) == ["into", "outside"]
        assert os.listdir(f"{top}/outside") == ["secret"]
        with open(f"{top}/outside/secret", encoding="ascii") as file:
            assert file.read() == "secret"
    finally:
        for directory, _, _ in os.walk(top):
            os.chmod(directory, 0o700)
        shutil.rmtree(top)


def fuzz_tar(data: bytes) -> None:
    """With the ways that whiteouts are taken in turn."""
    styles = ("ignore", "delete", "overlay" if os.geteuid() == 0 else "user-overlay")
    with place() as into:
        unpack(io.BytesIO(data), into, whiteouts=styles[len(data) % 3], limits=_LIMITS)


def fuzz_stream(data: bytes) -> None:
    """Decompression alone; pieces are small, whatever they come from."""
    for piece in VerifiedStream(io.BytesIO(data), limit=1 << 24).pieces():
        assert len(piece) <= 1 << 20


def fuzz_manifest(data: bytes) -> None:
    document = parse_manifest(data)
    assert parse_manifest(document.raw, media_type=document.media_type) == document


def fuzz_config(data: bytes) -> None:
    config = ImageConfig.parse(data)
    assert ImageConfig.parse(config.raw) == config


def fuzz_reference(data: bytes) -> None:
    reference = Reference.parse(data.decode(errors="surrogateescape"))
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar) == reference
    assert ".." not in reference.repository.split("/")


def fuzz_dockerfile(data: bytes) -> None:
    staged = stages(parse(data.decode(errors="surrogateescape"), filename="Dockerfile"))
    options = {"target": "", "build_args": {"A": "b"}, "platform": PLATFORM, "build_platform": PLATFORM}
    bases: dict = {}
    for _ in range(20):
        missing = bases_needed(staged, **options, bases=bases)  # type: ignore[arg-type]
        if not missing:
            break
        for image in missing:
            bases[image] = ImageConfig.parse(json.dumps(image.platform.to_json()).encode())
    lower(staged, **options, bases=bases, labels={})  # type: ignore[arg-type]


def fuzz_dockerignore(data: bytes) -> None:
    rules = ignore.parse(data.decode(errors="surrogateescape"))
    for path in ("a", "a/b", "a/b/c.txt", ".git/config", "x" * 300):
        rules.ignores(path)
        rules.prunes(path)
        rules.hidden_by(path)


def fuzz_archive(data: bytes) -> None:
    """An archive of images, loaded whole into a store of its own."""
    with place() as into:
        path = f"{into}/a.tar"
        with open(path, "wb") as out:
            out.write(data)
        with open(path, "rb") as stream, Store.open(f"{into}/root", snapshotter="copying") as store:
            load(store, stream, where="an archive", platform=PLATFORM)


class Listing:
    """In place of the writer of a build step: what it is asked to make has to lie in ``/there``."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        def make(path: str, *arguments: object, **_: object) -> None:
            assert os.path.normpath(path) == path.rstrip("/"), path
            assert path == "/there" or path.startswith("/there/"), path
            if name == "stream":
                while arguments[-1].read(1 << 16):  # type: ignore[attr-defined]
                    pass

        return make


def fuzz_add(data: bytes) -> None:
    """ADD of an archive in a context."""
    with place() as into:
        path = f"{into}/a.tar"
        with open(path, "wb+") as file:
            file.write(data)
            file.flush()
            file.seek(0)
            unpack_if_archive(file.fileno(), Listing(), "/there", Owner(None, None))  # type: ignore[arg-type]


def fuzz_manifest_json(data: bytes) -> None:
    """Docker's list of an archive's images, which names files in it."""
    _in_an_archive({docker.MANIFEST: data}, lambda source: _read_all(source, docker.entries(source)))


def fuzz_index_json(data: bytes) -> None:
    """The same of an OCI layout."""
    files = {**archives.oci_files(_LAYERS), oci.INDEX: data}
    _in_an_archive(files, lambda source: oci.images(source, platform=PLATFORM))


def fuzz_headers(data: bytes) -> None:
    """What a registry answers beside documents."""
    text = data.decode("latin-1")
    parse_challenges(text)
    parse_content_range(text)
    offset_of(text)
    next_page(text)
    decode(data)


def _in_an_archive(files: dict[str, bytes], read: Callable[[ArchiveSource], object]) -> None:
    with place() as into:
        path = f"{into}/a.tar"
        with open(path, "wb") as out:
            out.write(archives.tar(files))
        with open(path, "rb") as stream, ArchiveSource.open(stream, path, scratch=Scratch(into)) as source:
            read(source)


def _read_all(source: ArchiveSource, entries: tuple[docker.Entry, ...]) -> None:
    for entry in entries:
        for name in (entry.config, *entry.layers):
            if source.has(name):
                assert b"".join(source.pieces(name)) is not None


TARGETS: dict[str, Callable[[bytes], None]] = {
    "tar": fuzz_tar,
    "stream": fuzz_stream,
    "manifest": fuzz_manifest,
    "config": fuzz_config,
    "reference": fuzz_reference,
    "dockerfile": fuzz_dockerfile,
    "dockerignore": fuzz_dockerignore,
    "archive": fuzz_archive,
    "add": fuzz_add,
    "manifest.json": fuzz_manifest_json,
    "index.json": fuzz_index_json,
    "headers": fuzz_headers,
}

_STAGES = b"""# syntax=docker/dockerfile:1
ARG V=1
FROM busybox:${V:-2} AS a
RUN --mount=type=cache,target=/c echo $V
COPY --chown=1:2 --from=a /x /y/
FROM scratch
COPY <<EOF /f
hi
EOF
ENV A=b C='d e'
CMD ["a", "b"]
"""
_SETTINGS = b"""FROM a
HEALTHCHECK --interval=5s CMD true
EXPOSE 80/tcp 90-95
VOLUME /v
USER 1:2
STOPSIGNAL 9
LABEL a=b
ONBUILD ADD x y
SHELL ["sh", "-c"]
WORKDIR a/../b
ENTRYPOINT x \\
 # comment
 y
"""

_OCI = archives.oci_files(_LAYERS)

SEEDS: dict[str, tuple[bytes, ...]] = {
    "tar": (*TARS.values(), *_LAYERS),
    "stream": tuple(f(_LAYERS[0]) for f in (bytes, gzip.compress, zstandard.ZstdCompressor().compress)),
    "manifest": tuple(data for name, data in _OCI.items() if isinstance(data, bytes) and b"schemaVersion" in data),
    "config": (archives.config_of(_LAYERS).raw,),
    "reference": (b"busybox", b"a.b:80/c/d_e-f:tag@sha256:" + b"a" * 64, b"localhost/x", b"[::1]:5000/y:z"),
    "dockerfile": (_STAGES, _SETTINGS),
    "dockerignore": (b"*\n!a/**/b\n# c\n[a-z]?.txt\n\\!x\n", b"**/*.pyc\n/a/../b/\n"),
    "add": (*TARS.values(), gzip.compress(_LAYERS[0])),
    "archive": (archives.docker_archive(_LAYERS), archives.tar(_OCI)),
    "manifest.json": (json.dumps([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["l/layer.tar"]}]).encode(),),
    "index.json": tuple(data for name, data in _OCI.items() if name == oci.INDEX and isinstance(data, bytes)),
    "headers": (
        b'Bearer realm="https://a/b",service="c",scope="repository:d:pull", Basic realm=x',
        b"bytes 0-9/10",
        b'</v2/_catalog?n=1&last=a>; rel="next"',
        b'{"errors":[{"code":"DENIED","message":"no","detail":{}}]}',
    ),
}


def resealed(data: bytes) -> bytes:
    """The same with right checksums in all headers of a tar, so that what is wrong lies deeper."""
    tar = bytearray(data)
    for at in range(0, len(tar) - 511, 512):
        if tar[at + 257 : at + 262] == b"ustar":
            tar[at + 148 : at + 156] = b"        "
            tar[at + 148 : at + 156] = b"%06o\0 " % sum(tar[at : at + 512])
    return bytes(tar)


def check(name: str, data: bytes) -> None:
    """Run one target: what is refused is refused in a sentence; every other exception passes, and is a fault."""
    try:
        TARGETS[name](data)
    except EstibaError as error:
        assert error.message
