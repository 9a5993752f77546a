"""`pause` stops every process of a container, `unpause` lets them go on; a stop or a kill reaches it meanwhile."""

from __future__ import annotations

import os

import pytest

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        not os.path.isdir("/sys/fs/cgroup/freezer") and not os.path.exists("/sys/fs/cgroup/cgroup.controllers"),
        reason="this machine has no freezer",
    ),
]

COUNT = "i=0; trap 'exit 7' TERM; while :; do i=$((i+1)); echo $i; sleep 0.01; done"


def start(host) -> None:
    host.estiba("run", "-d", "--name", "one", "--network", "none", "busybox", "sh", "-c", COUNT)
    host.wait_until(lambda: host.estiba("logs", "one").stdout, "it counts")


def lines(host) -> int:
    return len(host.estiba("logs", "one").stdout.splitlines())


def freezer(pid: int) -> tuple[str, str]:
    """The file that stops the control group of a process, and what is to be written there."""
    with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
        groups = {line.split(":")[1]: line.strip().split(":", 2)[2] for line in file}
    if "freezer" in groups:
        return f"/sys/fs/cgroup/freezer{groups['freezer']}/freezer.state", "FROZEN"
    return f"/sys/fs/cgroup{groups['']}/cgroup.freeze", "1"


def test_a_paused_container_does_nothing_until_it_goes_on(busybox_host):
    start(busybox_host)
    assert busybox_host.estiba("pause", "one").stdout == "one\n"
    state = busybox_host.inspect("one")["State"]
    assert (state["Status"], state["Paused"], state["Running"]) == ("paused", True, True)
    assert "(Paused)" in busybox_host.estiba("ps").stdout
    written = lines(busybox_host)
    for words in (("exec", "one", "true"), ("attach", "one"), ("pause", "one")):
        done = busybox_host.estiba(*words, check=False)
        assert done.returncode != 0
        assert "paused" in done.stderr
    assert lines(busybox_host) == written
    busybox_host.estiba("unpause", "one")
    busybox_host.wait_until(lambda: lines(busybox_host) > written, "it counts on")
    assert busybox_host.state("one") == "running"
    assert busybox_host.estiba("unpause", "one", check=False).returncode == 1


def test_a_paused_container_is_stopped_killed_and_removed(busybox_host):
    start(busybox_host)
    busybox_host.estiba("pause", "one")
    busybox_host.estiba("stop", "one")
    assert busybox_host.inspect("one")["State"]["ExitCode"] == 7
    busybox_host.estiba("start", "one")
    busybox_host.estiba("pause", "one")
    busybox_host.estiba("kill", "one")
    assert busybox_host.inspect("one")["State"]["ExitCode"] == 137
    busybox_host.estiba("start", "one")
    busybox_host.estiba("container", "pause", "one")
    busybox_host.estiba("rm", "-f", "one")
    assert busybox_host.estiba("ps", "-aq").stdout == ""


def test_what_a_killed_pause_has_stopped_goes_on(busybox_host):
    start(busybox_host)
    file, frozen = freezer(busybox_host.inspect("one")["State"]["Pid"])
    with open(file, "w", encoding="ascii") as out:
        out.write(frozen)
    busybox_host.wait_until(
        lambda: busybox_host.estiba("unpause", "one", check=False).returncode == 0, "it is seen to be paused"
    )
    written = lines(busybox_host)
    busybox_host.wait_until(lambda: lines(busybox_host) > written, "it counts on")
