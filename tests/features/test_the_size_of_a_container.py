"""`--storage-opt size=` bounds what a container's own files take, where the filesystem keeps quotas of projects."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.root

MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-O", "project,quota", "-E", "quotatype=prjquota"),
    "xfs": ("mkfs.xfs", "-q"),
}

IN_A_NAMESPACE = """
import os, subprocess, sys
from estiba.linux.mounts import make_private_namespace
image, place, *command = sys.argv[1:]
make_private_namespace()
if subprocess.run(["mount", "-o", "loop,prjquota", image, place], capture_output=True).returncode:
    sys.exit(77)
from estiba.store.store import Store
from images import busybox_image
root = f"{place}/root"
with Store.open(root) as store:
    busybox_image(store)

def estiba(*words):
    done = subprocess.run([*command, "--root", root, *words], capture_output=True, text=True)
    print(done.stdout.replace("\\n", " ").strip(), "|", done.stderr.replace("\\n", " ").strip())

fill = "dd if=/dev/zero of=/f bs=64k 2>/dev/null; [ $(stat -c %s /f) -le 10485760 ] && echo bounded; rm /f"
more = "touch /etc/new && mv /etc/new /home/ && dd if=/dev/zero of=/g bs=1M count=5 2>/dev/null && echo goes on"
small = ("--network", "none", "--storage-opt", "size=10m", "busybox", "sh", "-c")
estiba("run", "--rm", *small, f"{fill}; {more}")
estiba("run", "--rm", "--userns", "auto", *small, fill)
estiba("create", "--name", "kept", *small, "dd if=/dev/zero of=/$(date +%N) bs=1M count=7 2>/dev/null && echo fits")
estiba("start", "-a", "kept")
estiba("start", "-a", "kept")
estiba("inspect", "-f", "{{.HostConfig.StorageOpt}}", "kept")
estiba("rm", "kept")
large = "dd if=/dev/zero of=/f bs=1M count=20 2>/dev/null && echo free"
estiba("run", "--rm", "--network", "none", "busybox", "sh", "-c", large)
"""


@pytest.mark.parametrize("kind", list(MAKE))
def test_a_container_writes_no_more_than_its_size_and_others_are_not_bound(estiba_home, tmp_path, kind):
    if shutil.which(MAKE[kind][0]) is None:
        pytest.skip(f"{MAKE[kind][0]} is not installed")
    image, place = tmp_path / "image", tmp_path / "place"
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(400 << 20)
    subprocess.run([*MAKE[kind], str(image)], check=True, capture_output=True)
    command = [*estiba_home.command[:1], "--run", estiba_home.run]
    done = subprocess.run(
        [sys.executable, "-c", IN_A_NAMESPACE, str(image), str(place), *command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(__file__))},
    )
    if done.returncode == 77:
        pytest.skip(f"this kernel mounts no {kind} with project quotas")
    assert done.stdout.splitlines() == [
        "bounded goes on |",
        "bounded |",
        done.stdout.splitlines()[2],
        "fits |",
        "|",
        "map[size:10m] |",
        "kept |",
        "free |",
    ], done.stderr


def test_a_size_that_could_not_be_kept_is_refused_with_what_is_missing(busybox_host):
    from estiba.errors import Unavailable
    from estiba.linux.project_quota import check

    try:
        check(busybox_host.root)
    except Unavailable:
        pass
    else:
        pytest.skip("this filesystem keeps quotas of projects")
    words = ("--network", "none", "--storage-opt", "size=10m", "busybox", "true")
    done = busybox_host.estiba("run", "--rm", *words, check=False)
    assert done.returncode == 125
    assert "project quotas" in done.stderr
    assert "prjquota" in done.stderr
    assert busybox_host.estiba("ps", "-aq").stdout == ""
