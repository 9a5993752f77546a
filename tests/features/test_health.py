"""A container's monitor runs its health check as Docker does, and does what was asked for when the container is ill."""

from __future__ import annotations

import os

import pytest

from estiba.oci.image_config import HealthCheck, RunConfig
from monitors import descriptors, is_settled, monitor_of, stat_of

pytestmark = pytest.mark.root

OFTEN = ("--health-interval", "50ms", "--health-timeout", "5s", "--health-retries", "2")


def start(host, check: str, *flags: str, often: tuple[str, ...] = OFTEN, program: str = "exec sleep 1000") -> None:
    words = ("--network", "none", "--health-cmd", check, *often, *flags, "busybox", "sh", "-c", program)
    host.estiba("run", "-d", "--name", "one", *words)


def health(host) -> dict:
    found: dict = host.inspect("one")["State"].get("Health", {})
    return found


def becomes(host, status: str) -> dict:
    host.wait_until(lambda: health(host).get("Status") == status, f"it is {status}")
    return health(host)


def listed(host, *words: str) -> str:
    text: str = host.estiba("ps", "-a", "--format", "{{.Names}} {{.Status}}", *words).stdout
    return text


def test_it_becomes_healthy_and_unhealthy_and_healthy_again(busybox_host):
    start(busybox_host, "echo said; test -e /tmp/ok")
    found = becomes(busybox_host, "unhealthy")
    assert found["FailingStreak"] >= 2
    assert found["Log"][-1]["ExitCode"] == 1
    assert found["Log"][-1]["Output"] == "said\n"
    assert "(unhealthy)" in listed(busybox_host, "-f", "health=unhealthy")
    busybox_host.estiba("exec", "one", "touch", "/tmp/ok")
    assert becomes(busybox_host, "healthy")["FailingStreak"] == 0
    assert "(healthy)" in listed(busybox_host, "-f", "health=healthy")
    assert listed(busybox_host, "-f", "health=none") == ""
    busybox_host.wait_until(lambda: len(health(busybox_host)["Log"]) == 5, "five results are kept")
    assert not is_settled(monitor_of(busybox_host, "one"))


def test_it_starts_anew_with_the_container(busybox_host):
    start(busybox_host, "true", often=("--health-interval", "1h"))
    assert health(busybox_host) == {"Status": "starting", "FailingStreak": 0, "Log": []}
    assert "(health: starting)" in listed(busybox_host)
    busybox_host.estiba("restart", "-t", "0", "one")
    assert health(busybox_host)["Status"] == "starting"


def test_it_has_the_containers_user_directory_and_variables(busybox_host):
    start(busybox_host, 'echo "$(id -u) $PWD $X"', "-u", "7", "-w", "/tmp", "-e", "X=y")
    assert becomes(busybox_host, "healthy")["Log"][0]["Output"] == "7 /tmp y\n"


def test_a_check_that_takes_too_long_is_killed_with_what_it_has_forked(busybox_host):
    """It ignores TERM, and floods its output."""
    check = "trap '' TERM; sleep 987 & while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyy; done"
    start(
        busybox_host, check, often=("--health-interval", "50ms", "--health-timeout", "200ms", "--health-retries", "2")
    )
    found = becomes(busybox_host, "unhealthy")["Log"][-1]
    assert found["ExitCode"] == -1
    assert found["Output"].startswith("Health check exceeded timeout (200ms)")
    assert len(found["Output"]) <= 4200
    monitor = monitor_of(busybox_host, "one")
    assert descriptors(monitor) < 40

    def forked() -> int:
        lines = busybox_host.estiba("top", "one", "-e", "-o", "pid,args").stdout.splitlines()
        return [line.split()[1:] for line in lines].count(["sleep", "987"])

    busybox_host.wait_until(lambda: health(busybox_host)["FailingStreak"] >= 5, "it has failed again and again")
    busybox_host.wait_until(lambda: forked() <= 1, "only the last one's child may live")


def test_what_a_check_leaves_behind_does_not_hold_it_up(busybox_host):
    start(busybox_host, "sleep 3 & exit 0")
    assert becomes(busybox_host, "healthy")["Log"][0]["ExitCode"] == 0


def test_a_program_that_is_not_there_is_a_failure(busybox_host):
    """The check is the image's, the times are the user's."""
    check = HealthCheck(("CMD", "/no/such"), interval=3600 * 10**9)
    busybox_host.make_image("ill", run=RunConfig(cmd=("sh",), env=("PATH=/bin",), healthcheck=check))
    words = ("--network", "none", "--health-interval", "50ms", "--health-retries", "1")
    busybox_host.estiba("run", "-d", "--name", "one", *words, "ill", "sleep", "1000")
    found = becomes(busybox_host, "unhealthy")["Log"][-1]
    assert found["ExitCode"] == -1
    assert "/no/such" in found["Output"]


def test_the_images_shell_is_used(busybox_host):
    check = HealthCheck(("CMD-SHELL", "x"), interval=5 * 10**7)
    run = RunConfig(cmd=("sh",), env=("PATH=/bin",), shell=("/bin/echo", "shell:"), healthcheck=check)
    busybox_host.make_image("shelled", run=run)
    busybox_host.estiba("run", "-d", "--name", "one", "--network", "none", "shelled", "sleep", "1000")
    assert becomes(busybox_host, "healthy")["Log"][0]["Output"] == "shell: x\n"


@pytest.mark.parametrize("flags", [("--cap-add", "SYS_PTRACE"), ("--runtime", "crun")], ids=["looked into", "crun"])
def test_the_runtime_brings_it_in_where_the_monitor_must_not(busybox_host, flags):
    if "crun" in flags and busybox_host.why_not_crun():
        pytest.skip(busybox_host.why_not_crun())
    check = 'test -e /ok || exec sleep 987; echo "$(id -u) $PWD $X"; sleep 988 & exit 0'
    often = ("--health-interval", "50ms", "--health-timeout", "500ms", "--health-retries", "1")
    start(busybox_host, check, *flags, "-u", "7", "-w", "/tmp", "-e", "X=y", often=often)
    found = becomes(busybox_host, "unhealthy")
    assert found["Log"][0]["Output"] == "Health check exceeded timeout (500ms)"
    busybox_host.estiba("exec", "-u", "0", "one", "touch", "/ok")
    found = becomes(busybox_host, "healthy")["Log"][-1]
    assert (found["ExitCode"], found["Output"]) == (0, "7 /tmp y\n")
    # The next probe may run, and has the words in its script.
    programs = [
        line.split(maxsplit=1)[1]
        for line in busybox_host.estiba("top", "one", "-e", "-o", "pid,args").stdout.splitlines()
    ]
    assert "sleep 987" not in programs, "what took too long was killed"
    assert not is_settled(monitor_of(busybox_host, "one"))


def test_without_a_check_there_is_no_health(busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", "--no-healthcheck", "--network", "none", "busybox", "sleep", "99")
    assert health(busybox_host) == {}
    assert "(" not in listed(busybox_host)


@pytest.mark.skipif(
    not os.path.isdir("/sys/fs/cgroup/freezer") and not os.path.exists("/sys/fs/cgroup/cgroup.controllers"),
    reason="this machine has no freezer",
)
def test_a_paused_container_is_not_looked_at(busybox_host):
    start(busybox_host, "true")
    becomes(busybox_host, "healthy")
    busybox_host.estiba("pause", "one")
    seen = health(busybox_host)
    assert "(Paused)" in listed(busybox_host)
    monitor = monitor_of(busybox_host, "one")
    busybox_host.wait_until(lambda: stat_of(monitor)[0] == "S", "the monitor waits")
    assert health(busybox_host)["FailingStreak"] == 0
    busybox_host.estiba("unpause", "one")
    busybox_host.wait_until(lambda: health(busybox_host)["Log"][-1] != seen["Log"][-1], "it is looked at again")
    assert health(busybox_host)["Status"] == "healthy"


def test_an_unhealthy_container_is_killed(busybox_host):
    start(busybox_host, "false", "--health-on-failure", "kill")
    assert busybox_host.estiba("wait", "one").stdout == "137\n"


def test_an_unhealthy_container_is_stopped_and_not_started_again(busybox_host):
    program = "trap 'exit 5' TERM; while :; do sleep 0.05; done"
    start(busybox_host, "false", "--health-on-failure", "stop", "--restart", "always", program=program)
    assert busybox_host.estiba("wait", "one").stdout == "5\n"
    busybox_host.wait_until(lambda: busybox_host.state("one") == "exited", "it has ended")
    assert health(busybox_host)["FailingStreak"] == 2  # one sees why


def test_an_unhealthy_container_starts_again_without_a_restart_policy(busybox_host):
    """One that ignores the signal is killed."""
    flags = ("--health-on-failure", "restart", "--stop-timeout", "1")
    start(busybox_host, "false", *flags, program="trap '' TERM; while :; do sleep 0.05; done")
    busybox_host.wait_until(lambda: busybox_host.inspect("one")["RestartCount"] >= 2, "it starts again")
    busybox_host.estiba("stop", "-t", "0", "one")
    assert busybox_host.state("one") == "exited"


def test_an_unknown_action_is_refused(busybox_host):
    done = busybox_host.estiba("create", "--health-on-failure", "pray", "busybox", check=False)
    assert "pray" in done.stderr
    assert "restart" in done.stderr
