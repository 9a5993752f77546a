"""One more program in a running container: what is decided before the first fork. The verb `exec` and a container's
monitor share it."""

from __future__ import annotations

import os

from estiba.errors import InvalidInput
from estiba.linux.namespaces import CLONE_NEWUSER, NAMESPACES, same_namespace
from estiba.linux.processes import pidfd_open, start_time
from estiba.runtime.bundle import check_process, drop_unknown_capabilities
from estiba.runtime.errors import WrongStatus
from estiba.runtime.process.plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from estiba.runtime.state import Container


def must_run(container: Container, *, or_be_paused: bool = False) -> None:
    """Raise WrongStatus where no program can begin: its processes have ended, or are held."""
    if container.require("running", "paused", verb="exec in") == "paused" and not or_be_paused:
        raise WrongStatus("cannot exec in a paused container (use --ignore-paused to override)")


def has_ended(container: Container) -> bool:
    """Whether the container's first process has ended, or does so just now: it has left its namespaces by then."""
    try:
        os.readlink(f"/proc/{container.pid}/ns/mnt")
    except OSError:
        return True
    return not container.is_alive()


def plan(container: Container, config: dict[str, Any], process: dict[str, Any]) -> Plan:
    """How `process` (the runtime-spec's object) joins the container that was made from `config`.

    `plan.target` is a descriptor, which the caller closes.

    Raises:
        BadBundle: the process cannot be carried out. InvalidInput: the container has ended.
    """
    check_process(process)
    drop_unknown_capabilities(process)
    made = Plan(container_id=container.id, process=process, config=None)
    linux = config.get("linux") or {}
    made.target = pidfd_open(container.pid)
    if start_time(container.pid) != container.record["startTime"]:
        raise InvalidInput(f"container {container.id} has ended")
    for namespace in linux.get("namespaces") or ():
        flag, _ = NAMESPACES[namespace["type"]]
        # To join the user namespace that one is in already is refused by the kernel.
        if flag != CLONE_NEWUSER or not same_namespace(container.pid, "user"):
            made.new |= flag
    made.linux = linux
    made.seccomp = linux.get("seccomp")
    made.group = container.group
    made.document = container.document()
    affinity = process.get("execCPUAffinity") or {}
    made.initial_processors, made.final_processors = affinity.get("initial") or "", affinity.get("final") or ""
    return made
