"""The same with a real systemd: a user's manager of the test's own, which has no units but those that it is asked for.

It lives in a mount namespace in which control groups of version 2 are all there is, and in a group of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from estiba.linux.cgroups.layout import detect
from waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.slow]

SYSTEMD = "/usr/lib/systemd/systemd"
_START = """
umount -l -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && echo 0 > "/sys/fs/cgroup$0/cgroup.procs" &&
mount -t tmpfs systemd /run/systemd && mkdir /run/systemd/system && exec "$@"
"""


class Systemd:
    """The manager `process`, whose groups lie below `root`, and which is asked at `address`."""

    def __init__(self, process: subprocess.Popen[bytes], directory: str, root: str, unified: str) -> None:
        self.process = process
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": directory}
        self.address = f"unix:path={directory}/systemd/private"
        self.root = root
        self.unified = unified

    def call(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """A command in the mount namespace of the manager's."""
        environment = {**self.environment, "DBUS_SYSTEM_BUS_ADDRESS": self.address}
        options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "timeout": 60} | options
        place = ["nsenter", "--mount", "--target", str(self.process.pid)]
        return subprocess.run([*place, *command], env=environment, check=False, **options)

    def show(self, unit: str, *names: str) -> dict[str, str]:
        done = self.call("systemctl", "--user", "show", unit, *(f"--property={name}" for name in names))
        return dict(line.partition("=")[::2] for line in done.stdout.splitlines())


@pytest.fixture
def systemd(tmp_path: Any) -> Iterator[Systemd]:
    unified = detect().unified
    if not unified:
        pytest.skip("no control groups of version 2 are mounted")
    for program in (SYSTEMD, "systemctl", "unshare", "nsenter"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    root = f"/est-real-{os.getpid()}"
    os.mkdir(unified + root)
    for name in ("run", "units", "empty"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "units/idle.target").write_text("[Unit]\nDescription=Nothing to do\nDefaultDependencies=no\n")
    environment = os.environ | {
        "XDG_RUNTIME_DIR": f"{tmp_path}/run",
        "HOME": f"{tmp_path}/empty",
        "SYSTEMD_UNIT_PATH": f"{tmp_path}/units",
        "SYSTEMD_GENERATOR_PATH": f"{tmp_path}/empty",
        "SYSTEMD_ENVIRONMENT_GENERATOR_PATH": f"{tmp_path}/empty",
    }
    command = [SYSTEMD, "--user", "--unit=idle.target", "--log-target=null"]
    process = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", _START, root, *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    found = Systemd(process, f"{tmp_path}/run", root, unified)
    try:
        wait_until(lambda: process.poll() is not None or os.path.exists(f"{tmp_path}/run/systemd/private"), "systemd")
        wait_until(lambda: process.poll() is not None or found.show("idle.target", "Id"), "systemd answers")
        if process.poll() is not None:
            pytest.skip(f"systemd --user does not run here: it ended with {process.returncode}")
        yield found
    finally:
        process.kill()
        process.wait()
        for directory, _, _ in os.walk(unified + root, topdown=False):
            os.rmdir(directory)


def test_a_container_lives_in_a_scope_is_entered_paused_and_removed(box: Any, systemd: Systemd) -> None:
    notes = (("org.systemd.property.TimeoutStopSec", "7"), ("org.systemd.property.CollectMode", "'inactive-or-failed'"))
    bundle = box.bundle("sleep", "1000", cgroups_path="est-some.slice:docker:1234", annotations=notes)
    runtime = [*box.command, "--systemd-cgroup"]
    quiet = {"capture_output": False, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    assert systemd.call(*runtime, "create", "-b", bundle, "est-real", **quiet).returncode == 0
    try:
        assert systemd.call(*runtime, "start", "est-real").returncode == 0
        shown = systemd.show(
            "docker-1234.scope", "Slice", "ControlGroup", "Delegate", "DevicePolicy", "TimeoutStopUSec"
        )
        place = f"{systemd.root}/est.slice/est-some.slice/docker-1234.scope"
        assert shown == {
            "Slice": "est-some.slice",
            "ControlGroup": place,
            "Delegate": "yes",
            "DevicePolicy": "strict",
            "TimeoutStopUSec": "7s",
        }
        script = "cat /proc/self/cgroup; (: < /dev/null) && (: < /dev/zero) && echo open; mknod /t c 10 200; : < /t"
        done = systemd.call(*runtime, "exec", "est-real", "sh", "-c", script)
        assert "open\n" in done.stdout
        assert "not permitted" in done.stderr
        pid = json.loads(systemd.call(*runtime, "state", "est-real").stdout)["pid"]
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
            assert f"0::{place}\n" in file.readlines()
        assert systemd.call(*runtime, "pause", "est-real").returncode == 0
        assert json.loads(systemd.call(*runtime, "state", "est-real").stdout)["status"] == "paused"
        assert systemd.call(*runtime, "resume", "est-real").returncode == 0
        rules = json.dumps({"devices": [{"allow": True, "access": "rwm"}]})
        done = systemd.call(*runtime, "update", "-r", "-", "est-real", stdin=None, input=rules)
        assert (done.returncode, done.stderr) == (0, "")
        assert systemd.show("docker-1234.scope", "DevicePolicy") == {"DevicePolicy": "auto"}
        assert "not permitted" not in systemd.call(*runtime, "exec", "est-real", "sh", "-c", ": < /t").stderr
        rules = json.dumps({"devices": [{"allow": False, "access": "rwm"}]})
        done = systemd.call(*runtime, "update", "-r", "-", "est-real", stdin=None, input=rules)
        assert (done.returncode, done.stderr) == (0, "")
        assert "block-* rwm" not in systemd.show("docker-1234.scope", "DeviceAllow")["DeviceAllow"]
        assert "not permitted" in systemd.call(*runtime, "exec", "est-real", "sh", "-c", ": < /t").stderr
    finally:
        assert systemd.call(*runtime, "delete", "--force", "est-real").returncode == 0
    assert systemd.show("docker-1234.scope", "ActiveState") == {"ActiveState": "inactive"}
    assert not os.path.exists(systemd.unified + place)
    assert os.listdir(box.root) == []


def test_a_unit_that_systemd_does_not_take_is_told(box: Any, systemd: Systemd) -> None:
    bundle = box.bundle("true", annotations=(("org.systemd.property.Flux", "5"),))
    done = systemd.call(*box.command, "--systemd-cgroup", "run", "-b", bundle, "est-flux")
    assert done.returncode == 125
    assert "Cannot set property Flux, or unknown property" in done.stderr
    assert os.listdir(box.root) == []
