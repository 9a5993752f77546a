"""`estiba update` changes limits and the restart policy at once, and for every later start."""

from __future__ import annotations

import os

import pytest

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        not os.path.isdir("/sys/fs/cgroup/memory") and not os.path.exists("/sys/fs/cgroup/cgroup.controllers"),
        reason="this machine has no limits of memory",
    ),
]


def limits(host) -> list[str]:
    """The limits of memory and of processes, and the quota, as the container's control group has them."""
    script = (
        "cd /sys/fs/cgroup; if [ -d memory ]; then cat memory/memory.limit_in_bytes pids/pids.max"
        " cpu/cpu.cfs_quota_us; else cat memory.max pids.max; cut -d' ' -f1 cpu.max; fi"
    )
    found: list[str] = host.estiba("exec", "one", "sh", "-c", script).stdout.split()
    return found


def test_limits_change_at_once_and_last(busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", "--network", "none", "-m", "64m", "busybox", "sleep", "1000")
    words = ("-m", "128m", "--pids-limit", "50", "--cpus", "0.5")
    assert busybox_host.estiba("update", *words, "one").stdout == "one\n"
    assert limits(busybox_host) == [str(128 << 20), "50", "50000"]
    config = busybox_host.inspect("one")["HostConfig"]
    assert (config["Memory"], config["PidsLimit"], config["NanoCpus"]) == (128 << 20, 50, 500_000_000)
    busybox_host.estiba("stop", "-t", "0", "one")
    busybox_host.estiba("update", "-m", "32m", "--pids-limit", "-1", "one")
    busybox_host.estiba("start", "one")
    assert limits(busybox_host) == [str(32 << 20), "max", "50000"]


@pytest.mark.parametrize(
    "words", [(), ("-m", "1k"), ("--cpus", "1000"), ("--cpu-quota", "500"), ("--restart", "often")]
)
def test_what_cannot_be_changes_nothing(busybox_host, words):
    busybox_host.estiba("create", "--name", "one", "--network", "none", "--cpus", "1", "busybox")
    before = busybox_host.inspect("one")["HostConfig"]
    assert busybox_host.estiba("update", *words, "one", check=False).returncode != 0
    assert busybox_host.inspect("one")["HostConfig"] == before


def test_a_policy_holds_from_the_next_end_on(busybox_host):
    words = ("--restart", "always", "--network", "none", "busybox", "sh", "-c", "echo started; sleep 0.3")
    busybox_host.estiba("run", "-d", "--name", "one", *words)
    busybox_host.wait_until(lambda: busybox_host.estiba("logs", "one").stdout.count("started") > 1, "it starts again")
    busybox_host.estiba("update", "--restart", "no", "one")
    busybox_host.wait_until(lambda: busybox_host.state("one") == "exited", "it stays ended")
    temporary = busybox_host.estiba("create", "--rm", "--network", "none", "busybox").stdout.strip()
    refused = busybox_host.estiba("update", "--restart", "always", temporary, check=False)
    assert "removes itself" in refused.stderr
