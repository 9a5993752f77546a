"""The attacker in a container of an ordinary user, with one id or with ranges of them, with the host's network."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ordinary_user import User, ordinary_user


@pytest.fixture(params=["one id", "ranges of ids"])
def user(request: pytest.FixtureRequest) -> Iterator[User]:
    with open("/proc/sys/user/max_user_namespaces", encoding="ascii") as file:
        if int(file.read()) == 0:
            pytest.skip("user namespaces are switched off")
    yield from ordinary_user(has_ranges=request.param != "one id")


def test_the_hosts_files_of_the_kernel_are_read_only_all_the_way_down(user: User) -> None:
    """CVE-2023-25809: the host's /sys is shown where its network is, and with it the user's own control groups."""
    script = "grep -E ' /sys' /proc/self/mountinfo | cut -d' ' -f5,6; echo x > /proc/sys/kernel/core_pattern; true"
    for network in ("none", "host"):
        done = user("run", "--rm", "--network", network, "busybox", "sh", "-c", script)
        places = [line.split() for line in done.stdout.splitlines()]
        assert places, "the control: there are some"
        assert [place for place, options in places if not options.startswith("ro")] == []
        assert "core_pattern" in done.stderr


def test_root_inside_has_no_more_rights_than_dockers_default_and_no_way_to_more(user: User) -> None:
    script = (
        "grep -E 'CapInh|CapBnd|CapAmb|NoNewPrivs' /proc/self/status; unshare -U true; unshare -m true;"
        " mount -t tmpfs x /tmp; mknod /tmp/sda b 8 0; ls /proc | grep -c '^[0-9]'"
    )
    done = user("run", "--rm", "--network", "host", "busybox", "sh", "-c", script)
    lines = done.stdout.splitlines()
    assert lines[:4] == ["CapInh:\t0000000000000000", "CapBnd:\t00000000a80425fb", "CapAmb:\t0000000000000000",
                         "NoNewPrivs:\t1"]  # fmt: skip
    assert int(lines[-1]) < 10, "no process of the user's is seen"
    assert done.stderr.count("ermitted") + done.stderr.count("denied") >= 3, done.stderr


def test_the_interpreter_and_the_null_device_of_the_host_stay_as_they_are(user: User) -> None:
    """They are root's, or the user's own: what the container's root may change of the user's is what it was given."""
    before = os.stat("/dev/null")[:6]
    script = "chmod 0 /dev/null /proc/self/fd/0; chown 1 /dev/null; readlink /proc/self/fd/0; echo x > /dev/null"
    done = user("run", "--rm", "--network", "none", "busybox", "sh", "-c", script, check=False)
    assert os.stat("/dev/null")[:6] == before
    assert done.stdout == "/dev/null\n"
    assert done.returncode == 0, "it can be written to all the same"
