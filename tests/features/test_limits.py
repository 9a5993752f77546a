"""What a container may use has limits that hold, and the one that was passed is told."""

from __future__ import annotations

import os

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


def test_no_container_leaves_a_control_group(busybox_host):
    identity = busybox_host.estiba("run", "-d", "--pids-limit", "50", "busybox", "true").stdout.strip()
    busybox_host.estiba("wait", identity)
    left = [path for path, _, _ in os.walk("/sys/fs/cgroup") if identity in path]
    assert left == []
