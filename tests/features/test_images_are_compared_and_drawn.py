"""`image tree`, `image diff`, `import` and `image export`, as a person types them."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

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


# import


def make_tar(path, **files: str) -> str:
    with tarfile.open(path, "w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return str(path)


def test_an_import_takes_changes_as_a_dockerfile_has_them(estiba_home, tmp_path):
    source = make_tar(tmp_path / "a.tar", app="program")
    changes = ['CMD ["/app"]', "ENV MODE=fast", "EXPOSE 80", "USER 5", "WORKDIR /srv", "LABEL kind=x", "VOLUME /data"]
    words = [word for change in changes for word in ("-c", change)]
    estiba_home.estiba("import", "-m", "by hand", "--platform", "linux/arm64", *words, source, "mine:1")
    (image,) = json.loads(estiba_home.estiba("image", "inspect", "mine:1").stdout)
    config = {name: value for name, value in image["Config"].items() if value}
    assert config == {
        "Cmd": ["/app"], "Env": ["MODE=fast"], "ExposedPorts": {"80/tcp": {}}, "User": "5", "WorkingDir": "/srv",
        "Labels": {"kind": "x"}, "Volumes": {"/data": {}},
    }  # fmt: skip
    assert (image["Architecture"], image["Comment"], image["Size"]) == ("arm64", "by hand", 7)
    for change, words in (("RUN x", "RUN is no change"), ("FROM x", "FROM is no change"), ("NOPE", "unknown")):
        done = estiba_home.estiba("import", "--change", change, source, check=False)
        assert (done.returncode, words in done.stderr) == (1, True)


def test_an_import_fetches_a_url(estiba_home, tmp_path):
    source = make_tar(tmp_path / "a.tar", app="program" * 1000)
    here = estiba_home.estiba("import", source).stdout
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.log_message = lambda *_: None
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}"
            assert estiba_home.estiba("import", f"{address}/a.tar").stdout == here
            missing = estiba_home.estiba("import", f"{address}/none.tar", check=False)
            assert missing.stderr.startswith(f"estiba: there is no {address}/none.tar")
        finally:
            server.shutdown()
            thread.join()
    gone = estiba_home.estiba("import", f"{address}/a.tar", check=False)
    assert gone.stderr.startswith(f"estiba: cannot fetch {address}/a.tar")


def test_many_images_are_saved_and_loaded_with_all_their_names(two_images, make_estiba_home):
    archive = f"{two_images.directory}/a.tar"
    two_images.estiba("tag", "app:1", "team/app:one")
    two_images.estiba("save", "-o", archive, "base:1", "app:1", "app:2", "team/app:one")
    other = make_estiba_home()
    with open(archive, "rb") as file:
        told = other.estiba("load", "-q", stdin=file).stdout
    assert sorted(told.splitlines()) == [
        f"Loaded image: {name}" for name in ("app:1", "app:2", "base:1", "team/app:one")
    ]
    assert sorted(other.estiba("images", "-q", "--no-trunc").stdout.split()) == sorted(
        two_images.estiba("images", "-q", "--no-trunc").stdout.split()
    )


def test_lists_of_images_and_histories_have_dockers_flags(two_images):
    assert two_images.estiba("images", "-f", "until=1970-01-02T00:00:00Z", "-q").stdout == ""
    assert len(two_images.estiba("images", "-f", "until=1s", "-q").stdout.split()) == 3
    tree = two_images.estiba("images", "--tree").stdout
    assert tree == two_images.estiba("image", "tree").stdout
    assert two_images.estiba("images", "--tree", "base").stdout.splitlines()[1].startswith("├─ base:1")
    two_images.estiba("tag", "base:1", "base:2")
    assert len(two_images.estiba("images", "-q", "base").stdout.split()) == 2, "a line for each name, as Docker has it"
    exact = two_images.estiba("history", "--human=false", "base:1").stdout.splitlines()
    assert exact[0].split("  ")[0] == "IMAGE" and "CREATED AT" in exact[0]
    assert exact[1].split()[-2] == "4"
    assert two_images.estiba("history", "-H=true", "base:1").stdout.splitlines()[1].split()[-2] == "4B"
    (line,) = two_images.estiba("images", "--format", "json", "base:1").stdout.splitlines()
    assert list(json.loads(line)) == sorted(json.loads(line))
    assert '"Digest":"\\u003cnone\\u003e"' in line
