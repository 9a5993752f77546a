"""Limits of the control group, and what pausing and killing by it do."""

from __future__ import annotations

import glob
import json
import os
import signal

import pytest

from estiba.runtime.client import RuntimeFailed
from estiba.runtime.spec import Resources
from waiting import wait_until

pytestmark = pytest.mark.root


def test_a_program_that_takes_too_much_memory_is_killed(box):
    result = box.run("dd if=/dev/zero of=/dev/null bs=200M count=1; echo code $?", resources=Resources(memory=32 << 20))
    assert "code 137" in result.stdout


def test_forks_beyond_the_limit_fail(box):
    result = box.run("for i in 1 2 3 4 5 6 7 8 9; do sleep 3 & done; kill %1", resources=Resources(pids=5))
    assert "can't fork" in result.stderr


def test_values_are_written_where_the_kernel_reads_them(box):
    limits = Resources(memory=64 << 20, cpu_quota=50_000, cpu_period=100_000, cpu_shares=512, cpuset_cpus="0", pids=77)
    box.start("est-values", "sleep", "1000", resources=limits)
    found = {}
    for name in ("memory.limit_in_bytes", "cpu.cfs_quota_us", "cpu.shares", "cpuset.cpus", "pids.max"):
        for path in glob.glob(f"/sys/fs/cgroup/{name.partition('.')[0]}/estiba/est-values/{name}"):
            with open(path, encoding="ascii") as file:
                found[name] = file.read().strip()
    if not found:
        pytest.skip("the machine has no control groups of version 1")
    assert found == {
        "memory.limit_in_bytes": str(64 << 20),
        "cpu.cfs_quota_us": "50000",
        "cpu.shares": "512",
        "cpuset.cpus": "0",
        "pids.max": "77",
    }
    box.call("update", "--memory", str(32 << 20), "--pids-limit", "9", "est-values")
    result = box.call(
        "exec", "est-values", "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/pids/pids.max"
    )
    assert result.stdout.split() == [str(32 << 20), "9"]


def test_an_idle_group_gets_its_share_back(box, tmp_path):
    """The kernel takes no shares while a group is idle, so both must arrive in one update, in the right order."""
    box.start("est-idle", "sleep", "1000")
    place = "/sys/fs/cgroup/cpu/estiba/est-idle"
    if not os.path.exists(f"{place}/cpu.idle"):
        pytest.skip("the machine has no cpu.idle of version 1")

    def update(cpu):
        document = tmp_path / "resources.json"
        document.write_text(json.dumps({"cpu": cpu}))
        box.call("update", "--resources", str(document), "est-idle")
        found = []
        for name in ("cpu.idle", "cpu.shares"):
            with open(f"{place}/{name}", encoding="ascii") as file:
                found.append(int(file.read()))
        return found

    assert update({"idle": 1})[0] == 1
    assert update({"idle": 0, "shares": 512}) == [0, 512]


def test_a_limit_that_is_not_supported_is_refused_not_ignored(box):
    def ask(spec):
        spec["linux"]["resources"]["flux"] = {"limit": 1}

    result = box.run("true", change=ask)
    assert result.returncode == 125
    assert "flux" in result.stderr


@pytest.mark.parametrize(
    ("limit", "controller"),
    [
        ({"hugepageLimits": [{"pageSize": "2MB", "limit": 1 << 21}]}, "hugetlb"),
        ({"network": {"classID": 1048577}}, "net_cls"),
        ({"network": {"priorities": [{"name": "lo", "priority": 3}]}}, "net_prio"),
        ({"rdma": {"mlx5_0": {"hcaHandles": 3}}}, "rdma"),
    ],
)
def test_a_limit_whose_controller_is_missing_is_refused(box, limit, controller):
    if os.path.isdir(f"/sys/fs/cgroup/{controller}"):
        pytest.skip(f"this machine has {controller}")
    result = box.run("true", lambda config: config["linux"]["resources"].update(limit))
    assert result.returncode == 125
    assert f"the cgroup controller '{controller}' is not there" in result.stderr


def test_pause_stops_every_process_and_resume_lets_them_go_on(box, wait_until):
    count = os.path.join(box.rootfs, "tmp/count")
    box.start("est-pause", "sh", "-c", "i=0; while true; do i=$((i+1)); echo $i > /tmp/count; done")
    wait_until(lambda: os.path.exists(count) and os.path.getsize(count) > 0, "the program counts")
    box.client.pause("est-pause")
    assert box.client.state("est-pause").status == "paused"
    assert _every_process_stands_still("est-pause")
    before = os.stat(count).st_mtime_ns
    with pytest.raises(RuntimeFailed, match="paused"):
        box.client.exec("est-pause", {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}})
    assert os.stat(count).st_mtime_ns == before
    box.client.resume("est-pause")
    assert box.client.state("est-pause").status == "running"
    wait_until(lambda: os.stat(count).st_mtime_ns != before, "the program counts on")


def _every_process_stands_still(name: str) -> bool:
    """What the kernel says of the container's group: both files tell it only when the last process has stopped."""
    for file, words in (("freezer/estiba/{}/freezer.state", "FROZEN\n"), ("estiba/{}/cgroup.events", "frozen 1\n")):
        path = "/sys/fs/cgroup/" + file.format(name)
        if os.path.exists(path):
            with open(path, encoding="ascii") as text:
                return words in text.read()
    raise AssertionError("the container has no group that could stop it")


def test_a_paused_container_can_be_killed(box, wait_until):
    box.start("est-frozen", "sleep", "1000")
    box.client.pause("est-frozen")
    box.client.kill("est-frozen", signal.SIGKILL)
    wait_until(lambda: box.client.state("est-frozen").status == "stopped", "it ends")


def test_kill_all_reaches_every_process(box, wait_until):
    """Also in a container without a PID namespace of its own, where the end of the first ends no other."""
    box.start("est-all", "sh", "-c", "sleep 1000 & sleep 1000 & exec sleep 1000", pid="host")
    wait_until(lambda: len(box.call("ps", "--format", "json", "est-all").stdout.split(",")) == 3, "three processes")
    pids = [int(p) for p in box.call("ps", "--format", "json", "est-all").stdout.strip("[]\n").split(",")]
    box.client.kill("est-all", signal.SIGKILL, everything=True)
    wait_until(lambda: not any(_lives(pid) for pid in pids), "all end")


def test_delete_ends_what_the_first_process_left(box, wait_until):
    box.start("est-orphans", "sh", "-c", "sleep 1000 & true", pid="host")
    wait_until(lambda: box.client.state("est-orphans").status == "stopped", "the first ends")
    [orphan] = [int(p) for p in box.call("ps", "--format", "json", "est-orphans").stdout.strip("[]\n").split(",")]
    box.client.delete("est-orphans")
    wait_until(lambda: not _lives(orphan), "the orphan ends")
    assert not glob.glob("/sys/fs/cgroup/*/estiba/est-orphans")


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_device_rules_of_a_running_container_are_changed(box, tmp_path):
    """What every container has stays open meanwhile."""
    with open("/proc/misc", encoding="ascii") as file:
        if "200 tun" not in file.read():
            pytest.skip("the kernel has no device that anybody may open where the rules allow it (tun)")
    script = (
        "mknod /tun c 10 200; while :; do : < /dev/null || echo > /closed; sleep 0.01; done & "
        "while :; do (: < /tun) 2> /dev/null && echo open > /now || echo shut > /now; sleep 0.02; done"
    )
    box.start("est-rules", "sh", "-c", script)

    def update(*rules):
        document = tmp_path / "resources.json"
        document.write_text(json.dumps({"devices": [{"allow": False, "access": "rwm"}, *rules]}))
        done = box.call("update", "--resources", str(document), "est-rules")
        assert (done.returncode, done.stderr) == (0, "")

    def says(word):
        try:
            with open(os.path.join(box.rootfs, "now"), encoding="ascii") as file:
                return file.read() == f"{word}\n"
        except FileNotFoundError:
            return False

    wait_until(lambda: says("shut"), "the device is shut")
    update({"allow": True, "type": "c", "major": 10, "minor": 200, "access": "r"})
    wait_until(lambda: says("open"), "the device is open")
    update()
    wait_until(lambda: says("shut"), "the device is shut again")
    assert not os.path.exists(os.path.join(box.rootfs, "closed"))
