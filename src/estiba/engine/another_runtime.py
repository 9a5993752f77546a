"""What crun and runc need beside what ours does: capabilities that there are, and, when one of them was killed at work,
that somebody takes away what it does not know of itself: a control group, a directory."""

from __future__ import annotations

import os

from estiba.errors import EstibaError
from estiba.linux import capabilities
from estiba.linux.namespaces import has_root
from estiba.oci import json_text
from estiba.store.snapshots.trees import remove_tree
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from estiba.runtime.client import RuntimeClient

_SIGKILL = 9


def leave_out_what_nobody_has(process: dict[str, Any]) -> None:
    """Take from a `process` object the capabilities that we lack ourselves, and so cannot give: with one of them ("all"
    on a machine that is a container) these runtimes refuse the whole, while ours gives the rest, as Docker does."""
    sets, ours = process.get("capabilities") or {}, capabilities.bounding()
    for kind, names in sets.items():
        sets[kind] = [name for name in names if capabilities.bits([name]) & ours]


def clear(runtime: RuntimeClient, container_id: str, *, config: str) -> None:
    """Let the runtime delete the container, and take away what it does not know of any more: its directory for the
    container, and the control group that the bundle's `config.json` names.

    Raises:
        Conflict: a process of the container does not end.
    """
    try:
        runtime.delete(container_id, force=True)
    except EstibaError:
        pass  # it may not understand what it had half made
    path = _group(config)
    if path and has_root():
        from estiba.linux.cgroups.group import open_group

        group = open_group(path)
        try:
            if group.processes():
                group.signal_all(_SIGKILL)
        except FileNotFoundError:
            pass
        group.remove()
    if os.path.isdir(state := f"{runtime.root}/{container_id}"):
        remove_tree(state)


def _group(config: str) -> str:
    try:
        with open(config, encoding="utf-8") as file:
            linux = json_text.loads(file.read(), what="the container's config.json").get("linux") or {}
    except (OSError, EstibaError):
        return ""  # the runtime had not been called yet
    path: str = linux.get("cgroupsPath") or ""
    return path if path.startswith("/") else ""
