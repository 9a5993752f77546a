"""Layers that are odd but right, loaded into Docker: its containers have the same files as what we unpack."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator

import pytest

import archives
from corpus import TARS
from docker_daemons import dockerd
from estiba.layers.unpack import unpack
from trees import Node, describe

pytestmark = [pytest.mark.root, pytest.mark.slow]

REFUSED_THERE = {
    "the last of equal names": "duplicates of file paths not supported",
    "a file that becomes a directory and back": "duplicates of file paths not supported",
    "a directory twice, with other modes": "duplicates of file paths not supported",
    "a contiguous file": "unhandled tar header type",
}
"""What Docker 20.10 takes for no layer, and GNU tar and we do."""

OWN = ("dev", "proc", "sys", "etc", ".dockerenv")
"""What docker adds to every container's files."""


@pytest.fixture(scope="module")
def docker() -> Iterator[list[str]]:
    """The docker command of a daemon of its own."""
    with dockerd() as daemon:
        yield daemon.command


@pytest.mark.parametrize("case", TARS)
def test_docker_has_the_same_files(docker: list[str], tmp_path, case: str) -> None:
    (tmp_path / "ours").mkdir()
    implied = unpack(io.BytesIO(TARS[case]), str(tmp_path / "ours"), whiteouts="ignore").implied
    path = tmp_path / "image.tar"
    path.write_bytes(archives.docker_archive((TARS[case],), names=("odd:1",)))
    if case in REFUSED_THERE:
        done = subprocess.run([*docker, "load", "-i", str(path)], capture_output=True, text=True, check=False)
        assert REFUSED_THERE[case] in done.stderr
        return
    nodes = describe(tmp_path / "ours")
    theirs = of_docker(docker, str(path))
    assert {name: seen(node) for name, node in nodes.items()} == {
        # A directory without an entry has mode 0755 here and 0600 there, where nobody but root can look into it.
        name: (kind, 0o755, *rest) if name in implied else (kind, mode, *rest)
        for name, (kind, mode, *rest) in theirs.items()
    }


def seen(node: Node) -> tuple[object, ...]:
    return node.kind, node.mode, node.owner, node.content if node.kind in ("file", "symlink") else None


def of_docker(docker: list[str], path: str) -> dict[str, tuple[object, ...]]:
    """The same of a container that docker makes of an image with this layer alone."""
    run(docker, "load", "-i", path)
    container = run(docker, "create", "odd:1").decode().strip()
    try:
        exported = run(docker, "export", container)
    finally:
        run(docker, "rm", "-f", container)
        run(docker, "rmi", "-f", "odd:1")
    found: dict[str, tuple[object, ...]] = {}
    with tarfile.open(fileobj=io.BytesIO(exported), errors="surrogateescape") as archive:
        for member in archive:
            name = os.path.normpath(member.name)
            if name == "." or name.partition("/")[0] in OWN:
                continue
            if member.islnk():
                found[name] = found[os.path.normpath(member.linkname)]
                continue
            kind, content = of_member(archive, member)
            found[name] = (kind, member.mode & 0o7777, (member.uid, member.gid), content)
    return found


def of_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[str, object]:
    if member.isreg():
        file = archive.extractfile(member)
        assert file is not None
        return "file", file.read()
    if member.issym():
        return "symlink", member.linkname
    return ("directory", None) if member.isdir() else ("fifo", None)


def run(docker: list[str], *words: str) -> bytes:
    done = subprocess.run([*docker, *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
