"""Stopping, killing, restarting: signals, time limits, restart policies, and what `ps` says of it."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.without_root_too

OBEDIENT = ("sh", "-c", "trap 'exit 0' TERM; trap 'exit 21' USR1; echo ready; while :; do sleep 0.02; done")
STUBBORN = ("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.02; done")


def start(host, name: str, command: tuple[str, ...], *flags: str) -> None:
    host.estiba("run", "-d", "--name", name, *flags, "busybox", *command)
    host.wait_until(lambda: "ready" in host.estiba("logs", name).stdout, f"{name} is ready")


def test_stop_asks_first_and_the_container_may_end_well(busybox_host):
    start(busybox_host, "one", OBEDIENT)
    assert busybox_host.estiba("stop", "one").stdout == "one\n"
    assert busybox_host.inspect("one")["State"]["ExitCode"] == 0
    busybox_host.estiba("stop", "one")  # again: nothing to do, no error


def test_stop_kills_after_the_time_it_was_given(busybox_host):
    start(busybox_host, "one", STUBBORN)
    busybox_host.estiba("stop", "-t", "0", "one")
    assert busybox_host.inspect("one")["State"]["ExitCode"] == 137


def test_stop_uses_the_containers_own_signal(busybox_host):
    start(busybox_host, "one", OBEDIENT, "--stop-signal", "USR1")
    busybox_host.estiba("stop", "one")
    assert busybox_host.inspect("one")["State"]["ExitCode"] == 21


def test_kill_sends_any_signal(busybox_host):
    start(busybox_host, "one", OBEDIENT)
    busybox_host.estiba("kill", "-s", "USR1", "one")
    assert busybox_host.estiba("wait", "one").stdout == "21\n"
    again = busybox_host.estiba("kill", "one", check=False)
    assert again.returncode == 1
    assert "not running" in again.stderr


def test_restart_gives_a_new_process_of_the_same_container(busybox_host):
    start(busybox_host, "one", OBEDIENT)
    before = busybox_host.inspect("one")
    busybox_host.estiba("restart", "one")
    after = busybox_host.inspect("one")
    assert after["Id"] == before["Id"]
    assert after["State"]["Pid"] != before["State"]["Pid"]
    assert after["State"]["Status"] == "running"


def test_a_running_container_is_removed_only_by_force(busybox_host):
    start(busybox_host, "one", STUBBORN)
    refused = busybox_host.estiba("rm", "one", check=False)
    assert refused.returncode == 1
    assert "running" in refused.stderr
    busybox_host.estiba("rm", "-f", "one")
    assert busybox_host.estiba("ps", "-aq").stdout == ""


def test_on_failure_a_container_starts_again_as_often_as_allowed(busybox_host):
    busybox_host.estiba(
        "run", "-d", "--name", "one", "--restart", "on-failure:2", "busybox", "sh", "-c", "echo ran; exit 3"
    )
    assert busybox_host.estiba("wait", "one").stdout == "3\n", "the end of one start, as in Docker"
    busybox_host.wait_until(lambda: busybox_host.inspect("one")["State"]["Status"] == "exited", "it is given up")
    assert busybox_host.estiba("logs", "one").stdout == "ran\n" * 3
    assert busybox_host.inspect("one")["RestartCount"] == 2


def test_a_container_that_ended_well_is_not_a_failure(busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", "--restart", "on-failure", "busybox", "true")
    assert busybox_host.estiba("wait", "one").stdout == "0\n"
    assert busybox_host.inspect("one")["RestartCount"] == 0


def test_always_means_until_somebody_stops_it(busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", "--restart", "always", "busybox", "true")
    busybox_host.wait_until(lambda: busybox_host.inspect("one")["RestartCount"] >= 2, "it has restarted twice")
    busybox_host.estiba("stop", "one")
    assert busybox_host.state("one") == "exited"
    busybox_host.wait_until(lambda: not busybox_host.monitors(), "the monitor, which has told of the end, ends")


def test_ps_tells_what_docker_tells(busybox_host):
    start(busybox_host, "one", OBEDIENT, "-l", "colour=red", "-p", "18081:80")
    busybox_host.estiba("create", "--name", "two", "busybox")
    heading, *lines = busybox_host.estiba("ps", "-a").stdout.splitlines()
    assert heading.split("  ")[0] == "CONTAINER ID"
    assert [line.split()[-1] for line in lines] == ["two", "one"]
    assert "Up " in lines[1] and "127.0.0.1:18081->80/tcp" in lines[1]
    assert "Created" in lines[0]

    def names(*flags: str) -> list[str]:
        return busybox_host.estiba("ps", "--format", "{{.Names}}", *flags).stdout.split()

    assert names() == ["one"]
    assert names("-a", "--filter", "label=colour=red") == ["one"]
    assert names("--filter", "status=created") == ["two"]
    assert names("-a", "--filter", "name=t.o") == ["two"]
    assert names("-l") == ["two"]
    assert names("-a", "--filter", "ancestor=busybox", "--filter", "status=running") == ["one"]


def test_prune_shows_what_it_removes_and_removes_only_what_does_not_run(busybox_host):
    start(busybox_host, "one", OBEDIENT)
    busybox_host.estiba("create", "--name", "two", "busybox")
    refused = busybox_host.estiba("container", "prune", stdin=None, input="n\n", check=False)
    assert "two" in refused.stdout and "one" not in refused.stdout
    assert len(busybox_host.estiba("ps", "-aq").stdout.split()) == 2
    busybox_host.estiba("container", "prune", "-f")
    assert busybox_host.estiba("ps", "-a", "--format", "{{.Names}}").stdout == "one\n"


def test_rename_keeps_the_container_and_frees_the_name(busybox_host):
    identity = busybox_host.estiba("create", "--name", "one", "busybox").stdout
    busybox_host.estiba("rename", "one", "other")
    assert busybox_host.inspect("other")["Id"] == identity.strip()
    busybox_host.estiba("create", "--name", "one", "busybox")
