"""With `--systemd-cgroup` a container's control group is a scope of systemd's.

Here a stand-in answers for systemd on a real bus, and makes real groups below one of the test's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from estiba.linux.cgroups.layout import detect
from estiba.runtime.spec import Resources
from fake_systemd import FakeSystemd, bus
from waiting import wait_until

pytestmark = pytest.mark.root

# Where systemd itself has groups with version 1; the others are left to the runtime.
_SYSTEMDS = ("name=systemd", "memory", "cpu", "pids", "devices", "blkio")


@pytest.fixture
def systemd(tmp_path: Any) -> Iterator[FakeSystemd]:
    layout = detect()
    places = list(dict.fromkeys(place for name, place in layout.controllers.items() if name in _SYSTEMDS))
    if layout.unified:
        places.append(layout.unified)
    with bus(str(tmp_path)) as address:
        fake = FakeSystemd(address, places=places, root=f"/est-systemd-{os.getpid()}")
        yield fake
        fake.close()


@pytest.fixture
def scoped(box: Any, systemd: FakeSystemd, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The runtime, told to let systemd make groups."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/bus")
    box.command.append("--systemd-cgroup")
    yield box
    for name in os.listdir(box.root) if os.path.isdir(box.root) else ():
        box.call("delete", "--force", name)


def start(box: Any, name: str, *args: str, **options: Any) -> int:
    """A running container; gives its pid."""
    bundle = box.bundle(*args, **options)
    with open(os.devnull, "r+b") as null:
        done = box.call("create", "-b", bundle, name, stdin=null, stdout=null, stderr=sys.stderr, capture_output=False)
    assert done.returncode == 0
    assert box.call("start", name).returncode == 0
    return int(json.loads(box.call("state", name).stdout)["pid"])


def groups_of(pid: int) -> set[str]:
    with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
        return {line.rstrip("\n").split(":", 2)[2] for line in file if line.rstrip("\n").split(":")[2] != "/"}


def test_the_container_lives_in_the_scope_that_its_path_names(scoped: Any, systemd: FakeSystemd) -> None:
    limits = Resources(memory=64 << 20, cpu_quota=50_000, cpu_period=100_000, pids=77)
    path = "est-some.slice:docker:1234"
    pid = start(scoped, "est-scope", "sleep", "1000", cgroups_path=path, resources=limits)
    assert groups_of(pid) == {f"{systemd.root}/est.slice/est-some.slice/docker-1234.scope"}
    given = systemd.started()
    assert systemd.of("StartTransientUnit")[0][:2] == ("docker-1234.scope", "replace")
    assert (given["Slice"], given["Delegate"], given["DefaultDependencies"]) == ("est-some.slice", True, False)
    assert (given["TasksMax"], given["CPUQuotaPerSecUSec"]) == (77, 500_000)
    assert given["DevicePolicy"] == "strict"
    assert ("/dev/char/1:3", "rwm") in given["DeviceAllow"]
    assert scoped.call("delete", "--force", "est-scope").returncode == 0
    assert systemd.of("StopUnit") == [("docker-1234.scope", "replace")]
    assert systemd.of("ResetFailedUnit")[-1] == ("docker-1234.scope",)
    left = [name for place in detect().hierarchies() for name, _, _ in os.walk(place) if "docker-1234" in name]
    assert left == []


def test_limits_bite_in_a_scope_and_exec_joins_it(scoped: Any, systemd: FakeSystemd) -> None:
    pid = start(scoped, "est-bite", "sleep", "1000", resources=Resources(pids=5))
    assert groups_of(pid) == {f"{systemd.root}/system.slice/estiba-est-bite.scope"}
    script = "grep -c estiba-est-bite /proc/self/cgroup; for i in 1 2 3 4 5 6 7 8; do sleep 2 & done"
    done = scoped.call("exec", "est-bite", "sh", "-c", script)
    assert "can't fork" in done.stderr
    if not detect().is_unified:
        place = detect().controllers["pids"] + f"{systemd.root}/system.slice/estiba-est-bite.scope"
        with open(f"{place}/pids.max", encoding="ascii") as file:
            assert file.read() == "5\n"


def test_update_tells_systemd_and_writes_the_files(scoped: Any, systemd: FakeSystemd) -> None:
    start(scoped, "est-update", "sleep", "1000", resources=Resources(pids=5))
    done = scoped.call("update", "--pids-limit", "9", "--cpu-quota", "25000", "est-update")
    assert (done.returncode, done.stderr) == (0, "")
    [(unit, at_run_time, changed)] = systemd.of("SetUnitProperties")
    assert (unit, at_run_time) == ("estiba-est-update.scope", True)
    assert {"TasksMax": ("t", 9), "CPUQuotaPerSecUSec": ("t", 250_000)}.items() <= dict(changed).items()
    done = scoped.call("exec", "est-update", "cat", "/sys/fs/cgroup/pids/pids.max")
    assert done.stdout == "9\n" or detect().is_unified


def test_pausing_listing_and_killing_reach_the_scope(scoped: Any) -> None:
    pid = start(scoped, "est-pause", "sh", "-c", "sleep 1000 & sleep 1000")
    assert scoped.call("pause", "est-pause").returncode == 0
    assert json.loads(scoped.call("state", "est-pause").stdout)["status"] == "paused"
    assert pid in json.loads(scoped.call("ps", "-f", "json", "est-pause").stdout)
    assert scoped.call("resume", "est-pause").returncode == 0
    assert scoped.call("kill", "--all", "est-pause", "KILL").returncode == 0


def test_annotations_set_properties_of_the_unit(scoped: Any, systemd: FakeSystemd) -> None:
    notes = (
        ("org.systemd.property.TimeoutStopSec", "123"),
        ("org.systemd.property.CollectMode", "'inactive-or-failed'"),
    )
    start(scoped, "est-notes", "sleep", "1000", annotations=notes)
    given = systemd.started()
    assert (given["TimeoutStopUSec"], given["CollectMode"]) == (123_000_000, "inactive-or-failed")


def test_a_unit_that_cannot_be_started_leaves_nothing(scoped: Any, systemd: FakeSystemd) -> None:
    systemd.result = "failed"
    done = scoped.call("run", "-b", scoped.bundle("true"), "est-failed")
    assert done.returncode == 125
    assert "systemd could not start the unit estiba-est-failed.scope: failed" in done.stderr
    assert os.listdir(scoped.root) == []


def test_what_systemd_refuses_is_told(scoped: Any, systemd: FakeSystemd) -> None:
    systemd.denied = "StartTransientUnit"
    done = scoped.call("run", "-b", scoped.bundle("true"), "est-denied")
    assert done.returncode == 125
    assert "systemd may not start the unit estiba-est-denied.scope for this user" in done.stderr


def test_a_unit_that_is_in_use_is_refused(scoped: Any, systemd: FakeSystemd) -> None:
    start(scoped, "est-first", "sleep", "1000", cgroups_path="system.slice:est:same")
    done = scoped.call("run", "-b", scoped.bundle("true", cgroups_path="system.slice:est:same"), "est-second")
    assert done.returncode == 125
    assert "is in use" in done.stderr
    systemd.units["estiba-est-third.scope"] = {}  # started between our look and our call
    done = scoped.call("run", "-b", scoped.bundle("true"), "est-third")
    assert "estiba-est-third.scope is in use" in done.stderr
    del systemd.units["estiba-est-third.scope"]
    assert systemd.of("StopUnit") == []
    assert json.loads(scoped.call("state", "est-first").stdout)["status"] == "running"


def test_a_runtime_that_is_killed_while_systemd_works_leaves_nothing(scoped: Any, systemd: FakeSystemd) -> None:
    systemd.is_silent = True
    with open(os.devnull, "r+b") as null:
        command = [*scoped.command, "create", "-b", scoped.bundle("sleep", "1000"), "est-killed"]
        runtime = subprocess.Popen(command, stdin=null, stdout=null, stderr=null)
    wait_until(lambda: systemd.units, "systemd is asked for the unit")
    [first] = systemd.units["estiba-est-killed.scope"]["PIDs"]
    runtime.kill()
    runtime.wait()
    wait_until(lambda: not os.path.exists(f"/proc/{first}"), "the first process has ended with the runtime")
    assert scoped.call("delete", "--force", "est-killed").returncode == 0
    assert systemd.units == {}
    assert os.listdir(scoped.root) == []


@pytest.mark.parametrize("path", ["/plain/path", "a.slice:b", "no-slice:b:c", "a.slice:b:c.slice"])
def test_a_path_that_means_no_scope_is_refused(scoped: Any, path: str) -> None:
    done = scoped.call("run", "-b", scoped.bundle("true", cgroups_path=path), "est-path")
    assert done.returncode == 125
    assert "slice" in done.stderr


def test_without_a_bus_systemd_cannot_be_asked(box: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nothing")
    for flags in (["--systemd-cgroup"], ["--cgroup-manager", "systemd"]):
        done = box.call(*flags, "run", "-b", box.bundle("true"), "est-none")
        assert done.returncode == 125
        assert "No such file or directory" in done.stderr
        assert "--cgroup-manager cgroupfs" in done.stderr


def test_a_bus_without_systemd_is_named(box: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with bus(str(tmp_path)) as address:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        done = box.call("--systemd-cgroup", "run", "-b", box.bundle("true"), "est-none")
    assert done.returncode == 125
    assert "there is no systemd on the bus" in done.stderr
