"""Limits for an ordinary user, where control groups of version 2 are there and a part of them is the user's.

Each runtime is started in a mount namespace of its own in which version 2 is all there is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bundles import write_bundle
from estiba.linux.cgroups.layout import detect
from estiba.runtime.spec import IdMapping, SpecOptions
from fake_systemd import FakeSystemd, bus
from plain_user import USER, launcher, place_of_the_user

pytestmark = pytest.mark.root  # to become the ordinary user

# A shell that shows version 2 alone, joins the group $0, and becomes the user.
_AS_USER = f"""
umount -l -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && echo 0 > "/sys/fs/cgroup$0/cgroup.procs" &&
exec setpriv --reuid {USER} --regid {USER} --clear-groups "$@"
"""


@pytest.fixture
def place() -> Iterator[str]:
    yield from place_of_the_user()


@pytest.fixture
def unified() -> str:
    """Where version 2 is mounted."""
    found = detect().unified
    if not found:
        pytest.skip("no control groups of version 2 are mounted")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    return found


@pytest.fixture
def given(unified: str) -> Iterator[str]:
    """A group that is the user's, as systemd would give it, with a leaf for the user's processes."""
    path = f"/est-given-{os.getpid()}"
    for directory in (f"{unified}{path}", f"{unified}{path}/leaf"):
        os.mkdir(directory)
        for name in ("", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"):
            os.chown(directory + name, USER, USER)
    yield path
    for directory, _, _ in os.walk(unified + path, topdown=False):
        os.rmdir(directory)


class Runtime:
    """The runtime in the hands of the user, whose processes are in the group `group`."""

    def __init__(self, directory: str, group: str) -> None:
        self.directory = directory
        self.group = group
        self.environment = {"PATH": os.environ["PATH"]}

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = launcher(self.directory, *words)
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            # No pipes: a container that goes on would keep them open.
            done = subprocess.run(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", _AS_USER, self.group, *command],
                env=self.environment
                | {name: value for name, value in os.environ.items() if name.startswith("ESTIBA_")},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                timeout=60,
                check=False,
            )
            output.seek(0)
            errors.seek(0)
            return subprocess.CompletedProcess(words, done.returncode, output.read(), errors.read())

    def bundle(self, *args: str, resources: dict[str, Any] | None = None) -> str:
        ids = (IdMapping(0, USER, 1),)
        options = SpecOptions(
            args=args, rootfs=os.path.join(self.directory, "rootfs"), uid_mappings=ids, gid_mappings=ids
        )

        def change(spec: dict[str, Any]) -> None:
            spec["linux"]["resources"].update(resources or {})

        return write_bundle(os.path.join(self.directory, "bundle"), options, change)


@pytest.fixture
def runtime_in(place: str, given: str) -> Iterator[Callable[[str], Runtime]]:
    """Makes the runtime of a user whose processes are in some group; its container is gone before the groups go."""
    made: list[Runtime] = []

    def make(group: str) -> Runtime:
        made.append(Runtime(place, group))
        made[-1].environment["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={place}/bus"
        return made[-1]

    yield make
    for runtime in made:
        runtime.call("delete", "--force", "est-mine")


def hugetlb(unified: str) -> dict[str, Any]:
    """A limit whose controller version 2 has on this machine."""
    with open(f"{unified}/cgroup.controllers", encoding="ascii") as file:
        if "hugetlb" not in file.read().split():
            pytest.skip("version 2 has no controller here that could be given to a user")
    with open(f"{unified}/cgroup.subtree_control", "w", encoding="ascii") as file:
        file.write("+hugetlb")  # as root's containers do
    return {"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}


def test_limits_are_kept_below_the_group_that_the_user_was_given(
    runtime_in: Callable[[str], Runtime], place: str, given: str, unified: str
) -> None:
    runtime = runtime_in(f"{given}/leaf")
    done = runtime.call("run", "-d", "-b", runtime.bundle("sleep", "1000", resources=hugetlb(unified)), "est-mine")
    assert done.returncode == 0, done.stderr
    group = f"{unified}{given}/estiba/est-mine"
    with open(f"{group}/hugetlb.2MB.max", encoding="ascii") as file:
        assert file.read() == "4194304\n"
    assert runtime.call("exec", "est-mine", "true").returncode == 0
    assert runtime.call("pause", "est-mine").returncode == 0
    assert json.loads(runtime.call("state", "est-mine").stdout)["status"] == "paused"
    assert runtime.call("resume", "est-mine").returncode == 0
    assert runtime.call("delete", "--force", "est-mine").returncode == 0
    assert os.listdir(place + "/state") == []
    assert not os.path.exists(f"{unified}{given}/estiba")


def test_without_a_part_of_the_users_own_limits_are_refused_and_the_rest_runs(
    runtime_in: Callable[[str], Runtime],
) -> None:
    runtime = runtime_in("")
    done = runtime.call("run", "-b", runtime.bundle("true", resources={"pids": {"limit": 5}}), "est-mine")
    assert done.returncode == 125
    assert "limits (pids) need a control group: this user may make none" in done.stderr
    assert "Delegate=" in done.stderr
    assert runtime.call("run", "-b", runtime.bundle("true"), "est-mine").returncode == 0


def test_a_controller_that_was_not_given_is_named(runtime_in: Callable[[str], Runtime], given: str) -> None:
    runtime = runtime_in(f"{given}/leaf")
    done = runtime.call("run", "-b", runtime.bundle("true", resources={"rdma": {"mlx": {"hcaHandles": 1}}}), "est-mine")
    assert done.returncode == 125
    assert "the controllers rdma are missing" in done.stderr


@pytest.fixture
def systemd(place: str, given: str, unified: str) -> Iterator[FakeSystemd]:
    """The user's own systemd, which has the group that the user was given."""
    import jeepney

    shutil.copytree(os.path.dirname(jeepney.__file__), os.path.join(place, "jeepney"))
    with bus(place) as address:
        fake = FakeSystemd(address, places=[unified], root=f"{given}/manager", owner=USER)
        yield fake
        fake.close()


@pytest.fixture
def session(unified: str) -> Iterator[str]:
    """The group of a login session: root's, so that the user may move nothing out of it."""
    path = f"/est-session-{os.getpid()}"
    os.mkdir(unified + path)
    yield path
    os.rmdir(unified + path)


def test_from_a_login_session_the_users_systemd_makes_the_group(
    session: str, systemd: FakeSystemd, runtime_in: Callable[[str], Runtime], unified: str
) -> None:
    runtime = runtime_in(session)
    done = runtime.call("run", "-d", "-b", runtime.bundle("sleep", "1000", resources=hugetlb(unified)), "est-mine")
    assert done.returncode == 0, done.stderr
    assert systemd.started()["Slice"] == "user.slice"
    assert "DevicePolicy" not in systemd.started()
    with open(f"{unified}{systemd.path_of('estiba-est-mine.scope')}/hugetlb.2MB.max", encoding="ascii") as file:
        assert file.read() == "4194304\n"
    done = runtime.call("exec", "est-mine", "true")
    assert done.returncode == 0, done.stderr
    assert systemd.of("AttachProcessesToUnit"), "the user may not move a process out of the session"
    assert runtime.call("delete", "--force", "est-mine").returncode == 0
    assert systemd.of("StopUnit") == [("estiba-est-mine.scope", "replace")]
