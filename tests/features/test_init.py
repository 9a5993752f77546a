"""`--init`: a small program is the container's first process, passes signals on, and buries what nobody waits for."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.without_root_too


def test_the_init_is_the_first_process_and_the_exit_code_is_the_programs(busybox_host):
    done = busybox_host.estiba(
        "run",
        "--rm",
        "--init",
        "--network",
        "none",
        "busybox",
        "sh",
        "-c",
        "cat /proc/1/comm; echo $$; exit 7",
        check=False,
    )
    name, pid = done.stdout.split()
    assert (name, done.returncode) == ("docker-init", 7)
    assert int(pid) > 1
    # The control: without it the program is the first.
    plain = busybox_host.estiba("run", "--rm", "--network", "none", "busybox", "sh", "-c", "echo $$")
    assert plain.stdout == "1\n"


def test_a_signal_reaches_a_program_that_would_not_hear_it_as_the_first_process(busybox_host):
    """The kernel gives process 1 no signal that it has not asked for, so `sleep` alone has to be killed."""
    for name, flags, code in (("with", ("--init",), 143), ("without", (), 137)):
        busybox_host.estiba("run", "-d", "--name", name, *flags, "--network", "none", "busybox", "sleep", "1000")
        busybox_host.estiba("stop", "-t", "1", name)
        assert busybox_host.inspect(name)["State"]["ExitCode"] == code
    assert busybox_host.inspect("with")["HostConfig"]["Init"] is True
    assert busybox_host.inspect("without")["HostConfig"]["Init"] is None


def test_orphans_are_buried(busybox_host):
    """A shell starts a program and ends before it: who buries that one falls to the first process."""
    zombies = "grep -l '^State:.Z' /proc/[0-9]*/status | wc -l"
    for name, flags in (("with", ("--init",)), ("without", ())):
        busybox_host.estiba("run", "-d", "--name", name, *flags, "--network", "none", "busybox", "sleep", "1000")
        for _ in range(3):
            busybox_host.estiba("exec", name, "sh", "-c", "sleep 0.1 > /dev/null 2>&1 & exit 0")

    def count(name: str) -> int:
        return int(busybox_host.estiba("exec", name, "sh", "-c", zombies, check=False).stdout)

    # Those without came later: when they have ended, so have the others.
    busybox_host.wait_until(lambda: count("without") == 3, "sleep as the first process buries nobody")
    busybox_host.wait_until(lambda: count("with") == 0, "the init has buried every orphan")


def test_it_needs_no_place_in_the_image_and_works_on_a_read_only_root(busybox_host):
    done = busybox_host.estiba(
        "run",
        "--rm",
        "--init",
        "--read-only",
        "--network",
        "none",
        "busybox",
        "sh",
        "-c",
        "echo x > /sbin/docker-init",
        check=False,
    )
    assert "Read-only file system" in done.stderr
