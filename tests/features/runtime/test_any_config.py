"""Whatever a config.json says: the container runs, or one clear sentence tells why not, and nothing is left."""

from __future__ import annotations

import copy
import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.root

_GONE = object()
# No text here is the path of a directory of the host.
_ODD: list[object] = [_GONE, None, True, False, 0, -1, 7, 1 << 70, 0.5, "", "odd", "no\0text", "\ud800", [], {}, [None]]
_ODD += [[{}], ["odd"], {"odd": "odd"}, [["odd"]], {"type": "odd"}, [{"path": "odd"}], [{"type": "c", "path": "odd"}]]
_KEYS = {
    "": "ociVersion process root hostname domainname mounts hooks annotations linux",
    "process": """
        terminal consoleSize user args env cwd capabilities noNewPrivileges rlimits oomScoreAdj scheduler ioPriority
        apparmorProfile selinuxLabel execCPUAffinity
    """,
    "linux": """
        resources namespaces maskedPaths readonlyPaths uidMappings gidMappings devices sysctl rootfsPropagation seccomp
        cgroupsPath personality timeOffsets intelRdt netDevices memoryPolicy mountLabel
    """,
}


def _places(value: Any, place: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where a value could be another one: everything that is there, and the properties that could be."""
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = sorted({*value, *_KEYS.get("/".join(map(str, place)), "").split()})
    elif isinstance(value, list):
        inner = list(range(min(len(value), 3)))
    found = [place] if place else []
    for key in inner:
        below = value[key] if isinstance(value, list) else value.get(key)
        found += _places(below, (*place, key))
    return found


def _changed(config: dict[str, Any], place: tuple[str | int, ...], value: object) -> dict[str, Any]:
    changed: Any = copy.deepcopy(config)
    holder = changed
    for key in place[:-1]:
        holder = holder[key]
    if value is not _GONE:
        holder[place[-1]] = value
    elif isinstance(holder, list) or place[-1] in holder:
        del holder[place[-1]]
    return changed


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_config_with_one_odd_value_runs_or_is_refused_in_one_sentence(box, data: st.DataObject) -> None:
    bundle = box.bundle("true", hostname="est-any")
    path = os.path.join(bundle, "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    del config["linux"]["seccomp"]["syscalls"][8:]  # the profile has rules enough to hide the rest
    config["linux"]["seccomp"]["defaultAction"] = "SCMP_ACT_ALLOW"
    place = data.draw(st.sampled_from(_places(config)))
    value = data.draw(st.sampled_from(_ODD))
    with open(path, "w", encoding="utf-8") as file:
        json.dump(_changed(config, place, value), file)
    before = os.uname().nodename
    done = box.call("run", "-b", bundle, "est-any", errors="replace")
    assert "Traceback" not in done.stderr, (place, value)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if not line.startswith("estiba-runtime: warning: ")]
        assert lines, (place, value, done.returncode)
        assert lines[0].startswith("estiba-runtime: run failed: "), (place, value, done.stderr)
        assert len(lines) <= 2, (place, value, done.stderr)
    assert os.uname().nodename == before
    assert not os.path.isdir(box.root) or os.listdir(box.root) == [], (place, value)
