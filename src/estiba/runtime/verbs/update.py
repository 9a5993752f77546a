"""`update`: other limits for a container that exists."""

from __future__ import annotations

from estiba.errors import InvalidInput, NotThereYet
from estiba.linux.namespaces import has_root
from estiba.oci import json_text
from estiba.runtime.errors import WrongStatus
from estiba.runtime.state import load_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from estiba.runtime.arguments import Arguments

# flag -> group and key of the runtime-spec's resources
_FLAGS = {
    "memory": ("memory", "limit"),
    "memory-reservation": ("memory", "reservation"),
    "memory-swap": ("memory", "swap"),
    "cpu-period": ("cpu", "period"),
    "cpu-quota": ("cpu", "quota"),
    "cpu-share": ("cpu", "shares"),
    "cpuset-cpus": ("cpu", "cpus"),
    "cpuset-mems": ("cpu", "mems"),
    "cpu-burst": ("cpu", "burst"),
    "cpu-idle": ("cpu", "idle"),
    "cpu-rt-period": ("cpu", "realtimePeriod"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime"),
    "pids-limit": ("pids", "limit"),
    "blkio-weight": ("blockIO", "weight"),
}


_NOT_THERE = ("l3-cache-schema", "mem-bw-schema")


def run(asked: Arguments, root: str) -> int:
    container = load_container(root, asked.container_id())
    container.require("created", "running", "paused", verb="update")
    group = container.group
    if group is None:
        raise WrongStatus(f"container {container.id} has no control group, so it has no limits")
    resources = _resources(asked)
    if not has_root():
        resources.pop("devices", None)  # guarded by root alone
    group.apply(resources)
    return 0


def _bytes(flag: str, text: str) -> int:
    """A size as runc takes it: bytes, or with a unit such as ``32M``; -1 lifts the limit."""
    number = text.rstrip("bBiI")
    power = "kmgtp".find(number[-1:].lower()) + 1 if number[-1:].isalpha() else 0
    try:
        return int(number[:-1]) << 10 * power if power else int(number)
    except ValueError:
        raise InvalidInput(f"--{flag} takes a size such as 32M, not {text!r}") from None


def _resources(asked: Arguments) -> dict[str, Any]:
    for flag in _NOT_THERE:
        if asked.value(flag):
            raise NotThereYet(f"update --{flag} is not there yet: limits of caches need resctrl")
    path = asked.value("resources")
    resources: dict[str, Any] = {}
    if path == "-":
        with open(0, encoding="utf-8", closefd=False) as file:
            resources = json_text.loads(file.read(), what="standard input")
    elif path:
        resources = json_text.load(path)
    for flag, (group, key) in _FLAGS.items():
        if asked.value(flag):
            text = asked.value(flag)
            value = text if key in ("cpus", "mems") else _bytes(flag, text) if group == "memory" else asked.number(flag)
            resources.setdefault(group, {})[key] = value
    if not resources and not path:
        raise InvalidInput("update needs --resources FILE, or a flag for a limit")
    return resources
