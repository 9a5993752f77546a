"""`update`: other limits for a container that exists."""

from __future__ import annotations

from estiba.errors import InvalidInput, NotThereYet
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
    "pids-limit": ("pids", "limit"),
    "blkio-weight": ("blockIO", "weight"),
}


def run(asked: Arguments, root: str) -> int:
    container = load_container(root, asked.container_id())
    container.require("created", "running", "paused", verb="update")
    group = container.group
    if group is None:
        raise WrongStatus(f"container {container.id} has no control group, so it has no limits")
    resources = _resources(asked)
    if resources.pop("devices", None):
        raise NotThereYet("device rules of a running container cannot be changed yet")
    group.apply(resources)
    return 0


def _resources(asked: Arguments) -> dict[str, Any]:
    path = asked.value("resources")
    resources: dict[str, Any] = {}
    if path == "-":
        with open(0, encoding="utf-8", closefd=False) as file:
            resources = json_text.loads(file.read(), what="standard input")
    elif path:
        resources = json_text.load(path)
    for flag, (group, key) in _FLAGS.items():
        if asked.value(flag):
            value = asked.value(flag) if key in ("cpus", "mems") else asked.number(flag)
            resources.setdefault(group, {})[key] = value
    if not resources:
        raise InvalidInput("update needs --resources FILE, or a flag for a limit")
    return resources
