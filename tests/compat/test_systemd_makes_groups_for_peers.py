"""podman and dockerd with systemd as the manager of control groups, and our runtime in place of runc.

A stand-in answers for systemd on a real bus; peers are shown /run/systemd/system, by which they know it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

import pytest

from bundles import busybox_rootfs
from estiba.linux.cgroups.layout import detect
from fake_systemd import FakeSystemd, bus
from waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.slow]

RUNTIME = os.path.join(os.path.dirname(sys.executable), "estiba-runtime")
_BOOTED = """
mount -t tmpfs systemd /run/systemd && mkdir /run/systemd/system && mkdir -p /run/dbus &&
mount -t tmpfs bus /run/dbus && ln -s "$0/bus" /run/dbus/system_bus_socket && exec "$@"
"""
_SYSTEMDS = ("name=systemd", "memory", "cpu", "pids", "devices", "blkio")

Peer = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def place() -> Iterator[str]:
    """A short directory, with busybox as ``tree.tar``."""
    if not os.path.exists(RUNTIME):
        pytest.skip("the command estiba-runtime is not installed beside this interpreter")
    directory = tempfile.mkdtemp(prefix="est-sd-")
    tree = busybox_rootfs(f"{directory}/tree")
    subprocess.run(["tar", "-C", tree, "-cf", f"{directory}/tree.tar", "."], check=True)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def systemd(place: str) -> Iterator[FakeSystemd]:
    layout = detect()
    places = list(dict.fromkeys(place for name, place in layout.controllers.items() if name in _SYSTEMDS))
    if layout.unified:
        places.append(layout.unified)
    with bus(place) as address:
        fake = FakeSystemd(address, places=places, root=f"/est-systemd-{os.getpid()}")
        yield fake
        fake.close()


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def with_systemd(place: str, *command: str) -> list[str]:
    """What starts `command` where systemd seems to be the init."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", _BOOTED, place, *command]


def called(command: list[str], place: str) -> Peer:
    def call(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*command, *words],
            cwd=place,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"{' '.join(words)}: {done.stderr}")
        return done

    return call


@pytest.fixture
def podman(place: str, systemd: FakeSystemd) -> Iterator[Peer]:
    needs("podman", "conmon", "unshare")
    command = ["podman", "--root", f"{place}/root", "--runroot", f"{place}/run", "--tmpdir", f"{place}/tmp"]
    command += ["--cgroup-manager", "systemd", "--events-backend", "none", "--storage-driver", "vfs"]
    podman = called(with_systemd(place, *command, "--runtime", RUNTIME), place)
    podman("import", f"{place}/tree.tar", "bb")
    yield podman
    podman("rm", "-af", "-t", "0", check=False)


@pytest.fixture
def docker(place: str, systemd: FakeSystemd) -> Iterator[Peer]:
    needs("docker", "dockerd", "containerd", "containerd-shim-runc-v2", "unshare")
    command = ["dockerd", "--data-root", f"{place}/data", "--exec-root", f"{place}/exec", "-p", f"{place}/pid"]
    command += ["-H", f"unix://{place}/d.sock", "--storage-driver", "vfs", "--iptables=false", "--ip6tables=false"]
    command += ["--bridge=none", "--ip-forward=false", "--exec-opt", "native.cgroupdriver=systemd"]
    command += ["--add-runtime", f"estiba={RUNTIME}", "--default-runtime", "estiba"]
    with open(f"{place}/log", "wb") as log:
        daemon = subprocess.Popen(with_systemd(place, *command), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    docker = called(["docker", "-H", f"unix://{place}/d.sock"], place)
    try:
        wait_until(
            lambda: docker("version", check=False).returncode == 0 or daemon.poll() is not None, "dockerd is there"
        )
        if daemon.poll() is not None:
            with open(f"{place}/log", encoding="utf-8") as log:
                pytest.skip(f"dockerd does not run here: {log.read()[-500:]}")
        docker("import", f"{place}/tree.tar", "bb")
        yield docker
        if ids := docker("ps", "-aq").stdout.split():
            docker("rm", "-f", *ids)
    finally:
        daemon.terminate()
        daemon.wait(timeout=30)


def units_of(systemd: FakeSystemd, prefix: str) -> list[str]:
    """The units of containers; podman has one for its monitor too, which it leaves to systemd when that has ended."""
    return [unit for unit in systemd.units if unit.startswith(prefix) and "-conmon-" not in unit]


def lives(peer: Peer, systemd: FakeSystemd, *, slice_name: str, prefix: str) -> None:
    """A container with limits runs in a scope, is entered, and is gone with its unit."""
    name = peer(
        "run", "-d", "--network", "none", "--memory", "64m", "--pids-limit", "50", "bb", "sleep", "1000"
    ).stdout.strip()
    [unit] = units_of(systemd, prefix)
    assert unit == f"{prefix}{name}.scope"
    assert systemd.units[unit]["Slice"] == slice_name
    assert systemd.units[unit]["TasksMax"] == 50
    done = peer("exec", name, "sh", "-c", "grep -c scope /proc/self/cgroup; cat /sys/fs/cgroup/pids/pids.max")
    assert done.stdout.split()[-1] == "50"
    peer("kill", name)
    peer("wait", name)
    peer("rm", "-f", name)
    assert units_of(systemd, prefix) == []


def test_podman_lets_systemd_make_the_group(podman: Peer, systemd: FakeSystemd) -> None:
    lives(podman, systemd, slice_name="machine.slice", prefix="libpod-")


def test_dockerd_lets_systemd_make_the_group(docker: Peer, systemd: FakeSystemd) -> None:
    lives(docker, systemd, slice_name="system.slice", prefix="docker-")
