"""skopeo reads what we save, and we load what skopeo writes."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from estiba.store.fsck import check
from estiba.store.store import Store
from images import busybox_image

pytestmark = pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")


# skopeo 1.9 gives what it unpacks from an OCI archive the owners that stand in it, which needs root.
needs_root = pytest.mark.root


def skopeo(*arguments: str) -> str:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def home(estiba_home):
    """An installation with busybox, and its archive in saved.tar."""
    with Store.open(estiba_home.root) as store:
        busybox_image(store)
    estiba_home.estiba("save", "-o", f"{estiba_home.directory}/saved.tar", "busybox")
    return estiba_home


def _id(home) -> str:
    return home.estiba("images", "-q", "--no-trunc").stdout.strip()


@pytest.mark.parametrize("transport", ["docker-archive", pytest.param("oci-archive", marks=needs_root)])
def test_skopeo_inspects_our_archive(home, transport):
    told = json.loads(skopeo("inspect", f"{transport}:{home.directory}/saved.tar"))
    ours = json.loads(home.estiba("inspect", "busybox").stdout)[0]
    assert told["Architecture"] == ours["Architecture"]
    assert told["Env"] == ours["Config"]["Env"]
    config = skopeo("inspect", "--config", "--raw", f"{transport}:{home.directory}/saved.tar")
    assert json.loads(config)["rootfs"]["diff_ids"] == ours["RootFS"]["Layers"]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("docker-archive:saved.tar", "docker-archive:copied.tar:busybox:latest"),
        pytest.param("oci-archive:saved.tar", "docker-archive:copied.tar:busybox:latest", marks=needs_root),
        # Not from docker-archive to oci-archive: there skopeo writes the configuration anew.
        pytest.param("oci-archive:saved.tar", "oci-archive:copied.tar:busybox:latest", marks=needs_root),
    ],
)
def test_an_image_comes_back_from_skopeo_with_the_same_id(home, make_estiba_home, source, target):
    skopeo("copy", "-q", *(word.replace(":", f":{home.directory}/", 1) for word in (source, target)))
    other = make_estiba_home()
    done = other.estiba("load", "-i", f"{home.directory}/copied.tar")
    assert done.stdout == "Loaded image: busybox:latest\n"
    assert _id(other) == _id(home)
    with Store.open(other.root) as store:
        assert check(store).problems == ()


def test_our_layout_and_skopeos_are_the_same_image(home, make_estiba_home):
    home.estiba("image", "layout", f"{home.directory}/ours", "busybox")
    skopeo("copy", "-q", f"oci:{home.directory}/ours:latest", f"oci:{home.directory}/theirs:busybox:latest")
    other = make_estiba_home()
    other.estiba("load", "-i", f"{home.directory}/theirs")
    assert _id(other) == _id(home)
    assert other.estiba("inspect", "-f", "{{.Descriptor.digest}}", "busybox").stdout == (
        home.estiba("inspect", "-f", "{{.Descriptor.digest}}", "busybox").stdout
    )


def test_skopeo_reads_the_store_itself_as_a_layout(home):
    home.estiba("image", "layout")
    assert json.loads(skopeo("inspect", f"oci:{home.root}:latest"))["Os"] == "linux"
    with Store.open(home.root) as store:
        assert check(store).problems == ()


@needs_root
def test_a_zstd_layer_comes_in(home, make_estiba_home):
    skopeo(
        "copy",
        "-q",
        "--dest-compress-format",
        "zstd",
        "--dest-compress",
        f"oci-archive:{home.directory}/saved.tar",
        f"dir:{home.directory}/dir",
    )
    skopeo("copy", "-q", f"dir:{home.directory}/dir", f"oci:{home.directory}/zstd:busybox:latest")
    other = make_estiba_home()
    other.estiba("load", "-i", f"{home.directory}/zstd")
    assert _id(other) == _id(home)
