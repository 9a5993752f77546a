"""`image tree`, `image diff`, `import` and `image export`, as a person types them."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

pytestmark = pytest.mark.root

DPKG = "Package: hello\nStatus: install ok installed\nVersion: {}\n\n"
PIP = "Metadata-Version: 2.1\nName: wheel\nVersion: {}\n\nText: no field\n"


def build(home, directory, name: str, dockerfile: str, **files: str) -> str:
    directory.mkdir()
    (directory / "Dockerfile").write_text(dockerfile)
    for file, text in files.items():
        (directory / file).write_text(text)
    return home.estiba("build", "-q", "-t", name, str(directory)).stdout.strip()


BASE = "FROM scratch\nCOPY base /base\n"
APP = (
    BASE
    + "ENV MODE={0}\nLABEL kind=x\nCOPY data /data\nCOPY data /only-{0}\nCOPY dpkg /var/lib/dpkg/status\n"
    + "COPY pip /usr/lib/python3/dist-packages/wheel.dist-info/METADATA\n"
)


@pytest.fixture
def two_images(estiba_home, tmp_path):
    common = {"base": "base"}
    build(estiba_home, tmp_path / "base", "base:1", BASE, **common)
    for version in ("1", "2"):
        files = {"data": version * 3, "dpkg": DPKG.format(version), "pip": PIP.format("7"), **common}
        build(estiba_home, tmp_path / version, f"app:{version}", APP.format(version), **files)
    return estiba_home


def test_the_tree_shows_what_is_shared(two_images):
    lines = two_images.estiba("image", "tree").stdout.splitlines()
    assert lines[0].endswith("in 1 layer, shared by 3 images")
    assert lines[1].startswith("├─ base:1 (")
    assert sum("app:1 (" in line or "app:2 (" in line for line in lines) == 2
    assert sum("in 4 layers, of one image" in line for line in lines) == 2


def test_a_comparison_names_every_kind_of_difference(two_images):
    done = two_images.estiba("image", "diff", "--json", "app:1", "app:2", check=False)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["sharedLayers"] == 1
    assert found["config"] == [{"how": "changed", "what": "Env MODE", "before": "1", "after": "2"}]
    assert found["packages"] == [{"how": "changed", "what": "dpkg: hello", "before": "1", "after": "2"}]
    files = {(one["how"], one["what"], one["after"]) for one in found["files"]}
    assert files == {
        ("changed", "/data", "content"),
        ("changed", "/var/lib/dpkg/status", "content"),
        ("removed", "/only-1", ""),
        ("added", "/only-2", ""),
    }
    assert len(found["layers"]) == 8, "the layer of pip's file is the same, but not on the same layers"
    told = two_images.estiba("image", "diff", "--only", "packages", "app:1", "app:2", check=False).stdout
    assert told == "Packages: 1 difference\n  ~ dpkg: hello: 1 → 2\n"


def test_an_image_is_no_different_from_itself(two_images):
    done = two_images.estiba("image", "diff", "app:1", "app:1")
    assert done.stdout.splitlines()[0] == "Config: no differences"
    assert "no such image" in two_images.estiba("image", "diff", "app:1", "nobody", check=False).stderr


def test_an_image_comes_from_a_tar_and_becomes_one_again(estiba_home, tmp_path):
    source = tmp_path / "files.tar"
    with tarfile.open(source, "w:gz") as tar:
        for name, data in (("etc/motd", b"hello"), ("bin/tool", b"#!/bin/sh\n")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("bin/other")
        link.type, link.linkname = tarfile.LNKTYPE, "bin/tool"
        tar.addfile(link)
    made = estiba_home.estiba("import", str(source), "mine:1").stdout
    assert estiba_home.estiba("images", "-q", "--no-trunc").stdout == made
    assert estiba_home.estiba("import", str(source)).stdout == made, "the same tar is the same image"
    estiba_home.estiba("image", "export", "-o", str(tmp_path / "out.tar"), "mine:1")
    with tarfile.open(tmp_path / "out.tar") as tar:
        assert tar.extractfile("etc/motd").read() == b"hello"
        assert tar.extractfile("bin/other").read() == tar.extractfile("bin/tool").read() == b"#!/bin/sh\n"
        assert {tar.getmember(name).type for name in ("bin/tool", "bin/other")} == {tarfile.REGTYPE, tarfile.LNKTYPE}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files.tar", "out.tar"]


def test_what_is_no_tar_is_told(estiba_home, tmp_path):
    (tmp_path / "text").write_text("x" * 2000)
    done = estiba_home.estiba("import", str(tmp_path / "text"), check=False)
    assert (done.returncode, "tar" in done.stderr) == (1, True), done.stderr
    assert "cannot read" in estiba_home.estiba("import", str(tmp_path / "missing"), check=False).stderr
    assert estiba_home.estiba("images", "-q").stdout == ""
