"""podman loads what we save and we load what it saves; we load what buildah pushes; umoci unpacks our layout."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from estiba.store.fsck import check
from estiba.store.store import Store
from images import busybox_image

pytestmark = pytest.mark.root


def needs(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


@pytest.fixture
def home(estiba_home):
    """An installation with busybox, and its archive in saved.tar."""
    with Store.open(estiba_home.root) as store:
        busybox_image(store)
    estiba_home.estiba("save", "-o", f"{estiba_home.directory}/saved.tar", "busybox")
    return estiba_home


def _id(home) -> str:
    return home.estiba("images", "-q", "--no-trunc").stdout.strip()


def _theirs(home, tool: str, *arguments: str) -> str:
    """Runs podman or buildah with a storage of its own."""
    place = ["--root", f"{home.directory}/{tool}", "--runroot", f"{home.directory}/{tool}-run"]
    done = subprocess.run(
        [tool, *place, "--storage-driver", "vfs", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs("podman")
def test_podman_loads_our_archive_and_sees_the_same_image(home):
    assert "docker.io/library/busybox:latest" in _theirs(home, "podman", "load", "-i", f"{home.directory}/saved.tar")
    assert _theirs(home, "podman", "images", "-q", "--no-trunc").strip() == _id(home)


@needs("podman")
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_what_podman_saves_comes_back_with_the_same_id(home, make_estiba_home, form):
    _theirs(home, "podman", "load", "-q", "-i", f"{home.directory}/saved.tar")
    _theirs(home, "podman", "save", "-q", "--format", form, "-o", f"{home.directory}/theirs.tar", "busybox")
    other = make_estiba_home()
    assert "busybox" in other.estiba("load", "-i", f"{home.directory}/theirs.tar").stdout
    assert _id(other) == _id(home)
    with Store.open(other.root) as store:
        assert check(store).problems == ()


@needs("buildah")
def test_what_buildah_pushes_to_an_archive_comes_in(home, make_estiba_home):
    container = _theirs(home, "buildah", "from", "scratch").strip()
    with open(f"{home.directory}/hello.txt", "w", encoding="ascii") as file:
        file.write("hello")
    _theirs(home, "buildah", "copy", "--quiet", container, f"{home.directory}/hello.txt", "/hello.txt")
    _theirs(home, "buildah", "config", "--cmd", "/hello", container)
    image = _theirs(home, "buildah", "commit", "--quiet", container, "made-by-buildah").strip()
    for number, target in enumerate(("docker-archive", "oci-archive")):
        archive = f"{home.directory}/pushed{number}.tar"
        _theirs(home, "buildah", "push", "--quiet", image, f"{target}:{archive}:example/made:1")
        other = make_estiba_home()
        assert other.estiba("load", "-i", archive).stdout == "Loaded image: example/made:1\n"
        assert other.estiba("inspect", "-f", "{{json .Config.Cmd}}", "example/made:1").stdout == '["/hello"]\n'
    _theirs(home, "buildah", "rm", container)


@needs("umoci")
def test_umoci_unpacks_our_layout(home):
    home.estiba("image", "layout", f"{home.directory}/layout", "busybox")
    bundle = f"{home.directory}/bundle"
    subprocess.run(["umoci", "unpack", "--image", f"{home.directory}/layout:latest", bundle], check=True, stderr=-3)
    with open(f"{bundle}/rootfs/bin/busybox", "rb") as file, open("/usr/bin/busybox", "rb") as original:
        assert file.read() == original.read()
