"""An ordinary user runs containers: their root is that user, and what would take root is named."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ordinary_user import User, may_have_network, ordinary_user


@pytest.fixture(params=["one id", "ranges of ids"])
def user(request: pytest.FixtureRequest) -> Iterator[User]:
    with open("/proc/sys/user/max_user_namespaces", encoding="ascii") as file:
        if int(file.read()) == 0:
            pytest.skip("user namespaces are switched off")
    yield from ordinary_user(has_ranges=request.param != "one id")


def _owner() -> str:
    return str(os.geteuid() or 65534)


def test_a_container_runs_guarded_and_its_root_is_the_user(user: User) -> None:
    script = "id -u; head -n1 /proc/self/uid_map; grep -E 'Seccomp:|NoNewPrivs' /proc/self/status; touch /made"
    done = user("run", "--rm", "--network", "none", "busybox", "sh", "-c", script)
    assert done.stdout.split() == ["0", "0", _owner(), "1", "NoNewPrivs:", "1", "Seccomp:", "2"]
    assert user("ps", "-aq").stdout == ""


def test_the_exit_code_and_both_outputs_are_the_programs(user: User) -> None:
    done = user(
        "run", "--rm", "--network", "none", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7", check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    assert user("run", "--rm", "--network", "none", "busybox", "nothing-there", check=False).returncode == 127


def test_networks_are_none_and_the_hosts(user: User) -> None:
    alone = user("run", "--rm", "--network", "none", "busybox", "ls", "/sys/class/net")
    assert alone.stdout.split() == ["lo"]
    shared = user("run", "--rm", "--network", "host", "busybox", "readlink", "/proc/self/ns/net")
    assert shared.stdout.strip() == os.readlink("/proc/self/ns/net")


def test_a_container_is_entered_read_and_stopped(user: User) -> None:
    script = "trap 'exit 3' TERM; echo started; while :; do sleep 0.1; done"
    user("run", "-d", "--name", "one", "--network", "none", "busybox", "sh", "-c", script)
    done = user("exec", "one", "sh", "-c", "id -u; exit 4", check=False)
    assert (done.stdout, done.returncode) == ("0\n", 4), done.stderr
    assert user("exec", "one", "readlink", "/proc/self/ns/mnt").stdout != os.readlink("/proc/self/ns/mnt")
    user("stop", "one")
    assert user("logs", "one").stdout == "started\n"
    assert user("wait", "one").stdout == "3\n"
    user("start", "one")
    assert user("ps", "-q").stdout.strip()
    user("rm", "-f", "one")
    assert user("ps", "-aq").stdout == ""


def test_a_volume_outlives_its_container(user: User) -> None:
    user("run", "--rm", "--network", "none", "-v", "vol:/data", "busybox", "sh", "-c", "echo kept > /data/file")
    done = user("run", "--rm", "--network", "none", "-v", "vol:/data", "busybox", "cat", "/data/file")
    assert done.stdout == "kept\n"


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (["busybox"], "the network bridge takes root"),
        (["--network", "none", "--memory", "64m", "busybox"], "limits (memory) need a control group"),
    ],
)
def test_what_takes_root_is_named_and_leaves_nothing(user: User, words: list[str], fact: str) -> None:
    if words == ["busybox"] and os.geteuid() != 0 and may_have_network():
        pytest.skip("this user may open /dev/net/tun")
    done = user("run", "--rm", *words, "true", check=False)
    assert done.returncode == 125
    assert fact in done.stderr
    assert user("ps", "-aq").stdout == ""


@pytest.mark.parametrize("user", ["one id"], indirect=True)
def test_without_ranges_there_is_one_user(user: User) -> None:
    done = user("run", "--rm", "--network", "none", "--user", "33", "busybox", "true", check=False)
    assert done.returncode == 125
    assert "an ordinary user has one id to give" in done.stderr
