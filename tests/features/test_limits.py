"""What a container may use has limits that hold, and the one that was passed is told."""

from __future__ import annotations

import os
import time

import pytest

pytestmark = pytest.mark.root


def controllers() -> set[str]:
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        named = {name for line in file for name in line.split(":")[1].split(",")}
    try:
        with open("/sys/fs/cgroup/cgroup.controllers", encoding="utf-8") as file:
            return named | set(file.read().split())
    except FileNotFoundError:
        return named


def needs(controller: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(controller not in controllers(), reason=f"this machine has no {controller} controller")


@needs("memory")
def test_too_much_memory_ends_the_container_and_is_told(busybox_host):
    command = ("sh", "-c", "a=x; while :; do a=$a$a; done")
    done = busybox_host.estiba(
        "run", "--name", "one", "-m", "16m", "--memory-swap", "16m", "busybox", *command, check=False
    )
    assert done.returncode == 137
    state = busybox_host.inspect("one")["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (137, True)


@needs("memory")
def test_a_container_that_is_killed_is_not_taken_for_one_out_of_memory(busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", "-m", "32m", "busybox", "sleep", "1000")
    busybox_host.estiba("kill", "one")
    assert busybox_host.inspect("one")["State"]["OOMKilled"] is False


@needs("pids")
def test_a_fork_bomb_stops_at_its_limit(busybox_host):
    script = "i=0; while [ $i -lt 30 ]; do sleep 5 & i=$((i+1)); done; echo all"
    done = busybox_host.estiba("run", "--rm", "--pids-limit", "10", "busybox", "sh", "-c", script, check=False)
    assert done.returncode != 0
    assert "all" not in done.stdout


def test_limits_of_open_files_are_the_processs(busybox_host):
    done = busybox_host.estiba(
        "run", "--rm", "--ulimit", "nofile=64:128", "busybox", "sh", "-c", "ulimit -Sn; ulimit -Hn"
    )
    assert done.stdout == "64\n128\n"


def test_shared_memory_has_the_size_that_was_asked_for(busybox_host):
    done = busybox_host.estiba("run", "--rm", "--shm-size", "2m", "busybox", "df", "-k", "/dev/shm")
    assert done.stdout.splitlines()[1].split()[1] == "2048"


def of_group(host, controller: str, *words: str, files: dict[str, str]) -> dict[str, str]:
    """What files of a container's own control group say; `files` are names of version 1 and of version 2."""
    unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    place = "/sys/fs/cgroup" if unified else f"/sys/fs/cgroup/{controller}"
    names = list(files.values()) if unified else list(files)
    script = "; ".join(f"echo {name} $(cat {place}/{name})" for name in names)
    done = host.estiba("run", "--rm", "--network", "none", *words, "busybox", "sh", "-c", script)
    return dict(line.partition(" ")[::2] for line in done.stdout.splitlines())


@needs("cpu")
def test_time_of_processors_is_given_in_periods(busybox_host):
    files = {"cpu.cfs_quota_us": "cpu.max", "cpu.cfs_period_us": "cpu.max"}
    words = ("--cpu-quota", "25000", "--cpu-period", "50000")
    found = " ".join(of_group(busybox_host, "cpu", *words, files=files).values())
    assert found in ("25000 50000", "25000 50000 25000 50000")


@needs("memory")
def test_softer_limits_of_memory_are_kept(busybox_host):
    words = ("-m", "64m", "--memory-reservation", "32m")
    files = {"memory.soft_limit_in_bytes": "memory.low"}
    assert list(of_group(busybox_host, "memory", *words, files=files).values()) == [str(32 << 20)]


@needs("memory")
def test_what_is_written_to_memory_counts_as_the_containers(busybox_host):
    """/dev/shm and every tmpfs are bounded by their size, and all of them together by the limit of memory."""
    fill = "dd if=/dev/zero of=/dev/shm/x bs=64k; dd if=/dev/zero of=/t/x bs=64k; ls -l /dev/shm/x /t/x"
    full = busybox_host.estiba("run", "--rm", "--shm-size", "1m", "--tmpfs", "/t:size=2m", "busybox", "sh", "-c", fill)
    assert [line.split()[4] for line in full.stdout.splitlines()] == [str(1 << 20), str(2 << 20)]
    bounded = ("-m", "16m", "--memory-swap", "16m", "--tmpfs", "/t:size=256m")
    killed = busybox_host.estiba(
        "run", "--rm", *bounded, "busybox", "sh", "-c", "exec dd if=/dev/zero of=/t/x bs=64k", check=False
    )
    assert killed.returncode == 137


def block_device() -> str:
    """A block device of this machine, by its name."""
    for name in sorted(os.listdir("/sys/block")):
        if os.path.exists(f"/dev/{name}"):
            return f"/dev/{name}"
    return ""


@needs("blkio")
@pytest.mark.skipif(not block_device(), reason="this machine has no block device")
def test_rates_of_block_devices_are_kept(busybox_host):
    device = block_device()
    numbers = os.stat(device).st_rdev
    names = ("read_bps", "write_bps", "read_iops", "write_iops")
    rates = ("1m", "2m", "30", "40")
    words = [
        word for n, r in zip(names, rates, strict=True) for word in (f"--device-{n.replace('_', '-')}", f"{device}:{r}")
    ]
    files = {f"blkio.throttle.{name}_device": "io.max" for name in names}
    found = of_group(busybox_host, "blkio", *words, files=files)
    place = f"{os.major(numbers)}:{os.minor(numbers)}"
    assert list(found.values()) == [f"{place} {rate}" for rate in (1 << 20, 2 << 20, 30, 40)]


def disk_of(path: str) -> str:
    """The disk that `path` lies on; "" where it is none of /dev (a network's, several disks in one)."""
    numbers = os.stat(path).st_dev
    place = os.path.realpath(f"/sys/dev/block/{os.major(numbers)}:{os.minor(numbers)}")
    if os.path.exists(f"{place}/partition"):
        place = os.path.dirname(place)
    device = f"/dev/{os.path.basename(place)}"
    return device if os.path.exists(device) else ""


@needs("blkio")
def test_a_disk_is_not_written_faster_than_allowed(busybox_host):
    device = disk_of(busybox_host.root)
    if not device:
        pytest.skip("the store lies on no disk of its own")
    script = "dd if=/dev/zero of=/f bs=64k count=32 oflag=direct"
    began = time.monotonic()
    busybox_host.estiba("run", "--rm", "--device-write-bps", f"{device}:1m", "busybox", "sh", "-c", script)
    assert time.monotonic() - began > 1.5


@pytest.mark.parametrize("words", [("--cpus", "1000"), ("--cpus", "0.001"), ("--cpuset-cpus", "0-4095")])
def test_more_than_the_machine_has_is_refused(busybox_host, words):
    done = busybox_host.estiba("run", "--rm", *words, "busybox", "true", check=False)
    assert done.returncode == 125
    assert "this machine" in done.stderr
    assert busybox_host.estiba("ps", "-aq").stdout == ""


def test_no_container_leaves_a_control_group(busybox_host):
    identity = busybox_host.estiba("run", "-d", "--pids-limit", "50", "busybox", "true").stdout.strip()
    busybox_host.estiba("wait", identity)
    left = [path for path, _, _ in os.walk("/sys/fs/cgroup") if identity in path]
    assert left == []
