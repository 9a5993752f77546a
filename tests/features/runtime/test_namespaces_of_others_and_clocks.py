"""Time namespaces with moved clocks, and containers in a mount namespace that exists."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

pytestmark = pytest.mark.root


def _time_namespace(config, **offsets):
    config["linux"]["namespaces"].append({"type": "time"})
    config["linux"]["timeOffsets"] = offsets


def test_a_time_namespace_moves_the_clocks_of_the_container_alone(box):
    """linux.timeOffsets: the container has been up for a week more than the host."""
    week = 7 * 24 * 3600
    clocks = {"boottime": {"secs": week, "nanosecs": 5}, "monotonic": {"secs": week}}
    done = box.run(
        "cat /proc/uptime; cat /proc/self/timens_offsets; readlink /proc/self/ns/time",
        lambda config: _time_namespace(config, **clocks),
    )
    uptime, _, *offsets, own = done.stdout.split()
    with open("/proc/uptime", encoding="ascii") as file:
        host = float(file.read().split()[0])
    assert week <= float(uptime) <= host + week + 1, done.stderr
    assert offsets == ["monotonic", str(week), "0", "boottime", str(week), "5"]
    assert own != os.readlink("/proc/self/ns/time")


def test_exec_sees_the_clocks_of_the_container(box):
    box.start("est-time", "sleep", "1000", change=lambda c: _time_namespace(c, boottime={"secs": 864000}))
    done = box.call("exec", "est-time", "cat", "/proc/uptime")
    assert float(done.stdout.split()[0]) > 864000, done.stderr


def test_clocks_without_a_time_namespace_are_refused(box):
    done = box.run("true", lambda config: config["linux"].update(timeOffsets={"boottime": {"secs": 1}}))
    assert done.returncode != 0
    assert "timeOffsets needs a new time namespace" in done.stderr


def test_an_unknown_clock_is_refused(box):
    done = box.run("true", lambda config: _time_namespace(config, realtime={"secs": 1}))
    assert "no clock 'realtime'" in done.stderr


@pytest.fixture
def other_mounts(box) -> Iterator[str]:
    """A mount namespace with a mount that only it has; gives its path in /proc."""
    place = os.path.join(box.rootfs, "mnt")
    os.mkdir(place)
    script = 'mount -t tmpfs tmpfs "$0" && touch "$0/only-here" && mount -t proc proc "$1" && echo ready && read wait'
    os.makedirs(os.path.join(box.rootfs, "proc"), exist_ok=True)
    command = ["unshare", "-m", "sh", "-c", script, place, os.path.join(box.rootfs, "proc")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin and holder.stdout
        assert holder.stdout.readline() == "ready\n"
        yield f"/proc/{holder.pid}/ns/mnt"
        holder.stdin.close()


def _in_namespace(config, path):
    for namespace in config["linux"]["namespaces"]:
        if namespace["type"] == "mount":
            namespace["path"] = path
    del config["mounts"]
    for name in ("maskedPaths", "readonlyPaths"):
        config["linux"].pop(name)
    config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "pid"]


def test_a_container_lives_in_a_mount_namespace_that_exists(box, other_mounts):
    """It sees what is mounted there, and leaves every mount as it was."""
    before = _mounts_of(other_mounts)
    done = box.run(
        "ls /mnt; readlink /proc/self/ns/mnt; echo $$ > /mnt/pid", lambda config: _in_namespace(config, other_mounts)
    )
    assert done.stdout.split() == ["only-here", os.readlink(other_mounts)], done.stderr
    assert _mounts_of(other_mounts) == before


def _mounts_of(namespace: str) -> str:
    pid = namespace.split("/")[2]
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as file:
        return file.read()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("mounts", lambda config: config.update(mounts=[{"destination": "/x", "type": "tmpfs"}])),
        ("maskedPaths", lambda config: config["linux"].update(maskedPaths=["/proc/kcore"])),
        ("root.readonly", lambda config: config["root"].update(readonly=True)),
    ],
)
def test_what_would_change_the_other_namespace_is_refused(box, other_mounts, name, change):
    def both(config):
        _in_namespace(config, other_mounts)
        change(config)

    done = box.run("true", both)
    assert done.returncode != 0
    assert f"{name} would change a mount namespace that others live in" in done.stderr


def test_features_name_every_namespace(box):
    listed = json.loads(box.call("features").stdout)["linux"]["namespaces"]
    assert listed == ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]
