"""What a failing hook means at each point, and what is only a warning (runtime.md, "Lifecycle"; config.md)."""

from __future__ import annotations

import json
import os

import pytest

pytestmark = pytest.mark.root

_FAILING = [{"path": "/bin/true"}, {"path": "/bin/false"}]


@pytest.mark.parametrize("point", ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"])
def test_a_failing_hook_is_told_with_its_number_and_the_container_ends(box, point: str) -> None:
    done = box.run("sleep 20", change=lambda spec: spec.update(hooks={point: _FAILING}))
    assert done.returncode != 0
    assert f"error running {point} hook #1: /bin/false ended with 1" in done.stderr
    assert os.listdir(box.root) == []


def test_a_failing_poststart_hook_stops_a_started_container(box) -> None:
    box.create("est-ps", "sleep", "1000", change=lambda spec: spec.update(hooks={"poststart": _FAILING}))
    done = box.call("start", "est-ps")
    assert done.returncode == 1
    assert "error running poststart hook #1" in done.stderr
    assert json.loads(box.call("state", "est-ps").stdout)["status"] == "stopped"


def test_a_hook_has_no_more_time_than_its_timeout(box) -> None:
    slow = {"path": "/bin/sleep", "args": ["sleep", "20"], "timeout": 1}
    done = box.run("true", change=lambda spec: spec.update(hooks={"createRuntime": [slow]}))
    assert done.returncode == 125
    assert "took longer than its 1 seconds" in done.stderr


def test_a_hook_has_the_environment_that_it_is_given_and_no_other(box) -> None:
    log = os.path.join(box.directory, "environment")
    script = f"tr '\\0' '\\n' < /proc/self/environ > {log}"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["A=b"]}
    assert box.run("true", change=lambda spec: spec.update(hooks={"createRuntime": [hook]})).returncode == 0
    with open(log, encoding="utf-8") as file:
        assert {line for line in file.read().splitlines() if not line.startswith("PWD=")} == {"A=b"}


def test_an_unknown_capability_is_a_warning_and_the_others_are_given(box) -> None:
    log = os.path.join(box.directory, "log")
    sets = {"bounding": ["CAP_KILL", "CAP_FLY"]}
    bundle = box.bundle(
        "grep", "CapBnd", "/proc/self/status", change=lambda spec: spec["process"].update(capabilities=sets)
    )
    done = box.call("--log", log, "run", "-b", bundle, "est-fly")
    assert done.stdout == "CapBnd:\t0000000000000020\n", done.stderr
    with open(log, encoding="utf-8") as file:
        assert "ignoring unknown or unavailable capabilities: CAP_FLY" in file.read()


def test_a_device_may_lie_anywhere_and_its_node_is_made_though_the_rules_forbid_the_device(box) -> None:
    def add(spec) -> None:
        spec["linux"]["devices"] = [{"path": "/odd/place", "type": "c", "major": 1, "minor": 11, "fileMode": 0o640}]
        spec["linux"]["resources"]["devices"] = [{"allow": False, "access": "rwm"}]

    done = box.run("stat -c '%t %T %a' /odd/place; cat /odd/place", change=add)
    assert done.stdout == "1 b 640\n"
    assert "Operation not permitted" in done.stderr
