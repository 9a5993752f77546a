"""The mounts that others build on: overlays of any size, all or nothing, and a namespace that takes them along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

PREAMBLE = """
import os, sys
from estiba.linux import mounts, overlay
from estiba.linux.mounts import Mount
base = sys.argv[1]
mounts.make_private_namespace()
mounts.mount(Mount("tmpfs", "tmpfs", "", ("size=10m",)), base)
def make(*names):
    for name in names:
        os.makedirs(os.path.join(base, name))
def overlay_of(lowers, target, *options):
    mounts.mount(Mount("overlay", "overlay", "", ("lowerdir=" + overlay.join_lowers(lowers), *options)), target)
"""


def in_a_private_namespace(code: str, place: Path) -> str:
    """The output of code whose mounts nobody else sees: a process of its own, since one cannot go back."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + code, str(place)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert list(place.iterdir()) == [], "the mounts ended with the process"
    return done.stdout


MANY = """
lowers = [f"{base}/a-directory-with-a-long-name-as-snapshots-have/{n:04}" for n in range(200)]
for n, lower in enumerate(lowers):
    os.makedirs(lower)
    open(f"{lower}/{n}", "w").close()
make("upper", "work", "merged")
overlay_of(lowers, base + "/merged", f"upperdir={base}/upper", f"workdir={base}/work", "nosuid")
open(base + "/merged/new", "w").close()
print(len(os.listdir(base + "/merged")), os.listdir(base + "/upper"), mounts.is_mounted(base + "/merged"))
print("nosuid" in [l for l in open("/proc/self/mounts") if "/merged " in l][0].split()[3].split(","))
mounts.unmount(base + "/merged")
print(mounts.is_mounted(base + "/merged"))
"""


def test_an_overlay_of_200_layers(tmp_path: Path) -> None:
    """Their names fill several pages, and mount(2) takes one."""
    assert in_a_private_namespace(MANY, tmp_path).split("\n")[:3] == ["201 ['new'] True", "True", "False"]


def test_an_overlay_of_200_layers_where_the_kernel_takes_them_only_at_once(tmp_path: Path) -> None:
    """Before `lowerdir+` there are the short names of descriptors."""
    old_kernel = """
def refuse(*_): raise OSError(22, "Invalid argument")
overlay._modern = refuse
"""
    assert in_a_private_namespace(old_kernel + MANY, tmp_path).split("\n")[:3] == ["201 ['new'] True", "True", "False"]


def test_an_overlay_of_names_with_separators(tmp_path: Path) -> None:
    code = """
make("lo:w,er", "up,per", "w:ork", "merged")
open(base + "/lo:w,er/file", "w").close()
overlay_of([base + "/lo:w,er"], base + "/merged", f"upperdir={base}/up,per", f"workdir={base}/w:ork")
print(os.listdir(base + "/merged"))
"""
    assert in_a_private_namespace(code, tmp_path) == "['file']\n"


def test_all_mounts_or_none(tmp_path: Path) -> None:
    code = """
make("place")
open(base + "/place/below", "w").close()
try:
    mounts.mount_all([Mount("tmpfs", "t", "place"), Mount("nofs", "t", "place")], base)
except OSError as error:
    print(error.errno, "nofs" in str(error), os.listdir(base + "/place"))
"""
    assert in_a_private_namespace(code, tmp_path) == "19 True ['below']\n"


def test_a_target_behind_a_link_is_inside_and_a_bind_is_read_only(tmp_path: Path) -> None:
    code = """
make("real")
os.symlink("/real", base + "/link")
mounts.mount(Mount("bind", "/usr", "link", ("rbind", "ro", "nosuid", "rprivate")), base)
print("bin" in os.listdir(base + "/real"))
try:
    open(base + "/real/x", "w")
except OSError as error:
    print(error.errno)
"""
    assert in_a_private_namespace(code, tmp_path) == "True\n30\n"
