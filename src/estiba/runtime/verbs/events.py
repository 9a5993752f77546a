"""`events`: what a container has used, every now and then or once (`--stats`), and each kill for want of memory."""

from __future__ import annotations

import os

from estiba.errors import InvalidInput
from estiba.linux.cgroups.statistics import read_kills, read_statistics
from estiba.linux.processes import has_ended, pidfd_open
from estiba.oci import json_text
from estiba.runtime.errors import WrongStatus
from estiba.runtime.state import load_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from estiba.linux.cgroups.group import Group
    from estiba.runtime.arguments import Arguments

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_GLANCE = 0.5  # seconds between two looks for a kill


def run(asked: Arguments, root: str) -> int:
    container = load_container(root, asked.container_id())
    container.require("created", "running", "paused", verb="watch")
    group = container.group
    if group is None:
        raise WrongStatus(f"container {container.id} has no control group, so nothing counts what it uses")
    if asked.has("stats"):
        _print("stats", container.id, read_statistics(group))
        return 0
    interval = seconds(asked.value("interval", "5s"))
    try:
        process = pidfd_open(container.pid)
    except ProcessLookupError:
        return 0
    try:
        _watch(container.id, group, process, interval)
    finally:
        os.close(process)
    return 0


def seconds(text: str) -> float:
    """A duration as Go writes it, of one unit: ``5s``, ``100ms``, ``1m``.

    Raises:
        InvalidInput: it is none, or not positive.
    """
    number = text.rstrip("hms")
    unit = text[len(number) :]
    try:
        value = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        value = 0.0
    if not 0 < value < 1e6:
        raise InvalidInput(f"{text!r} is no interval", remedy="Give one such as 5s or 100ms.")
    return value


def _watch(container_id: str, group: Group, process: int, interval: float) -> None:
    kills = read_kills(group)
    left = interval
    while not has_ended(process, timeout=min(left, _GLANCE)):
        left -= min(left, _GLANCE)
        now = read_kills(group)
        if now > kills:
            _print("oom", container_id)
        kills = now
        if left <= 0:
            _print("stats", container_id, read_statistics(group))
            left = interval


def _print(kind: str, container_id: str, data: dict[str, Any] | None = None) -> None:
    document: dict[str, Any] = {"type": kind, "id": container_id}
    if data is not None:
        document["data"] = data
    os.write(1, json_text.dumps(document).encode() + b"\n")
