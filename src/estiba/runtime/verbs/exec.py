"""`exec`: one more program in a running container."""

from __future__ import annotations

import os

from estiba.errors import InvalidInput, Unavailable
from estiba.linux.namespaces import CLONE_NEWUSER, NAMESPACES, same_namespace
from estiba.linux.processes import pidfd_open, start_time
from estiba.oci import json_text
from estiba.runtime import console
from estiba.runtime.bundle import check_process, drop_unknown_capabilities
from estiba.runtime.errors import WrongStatus
from estiba.runtime.process import parent
from estiba.runtime.process.plan import Plan
from estiba.runtime.state import Container, load_container
from estiba.runtime.verbs.create import check_preserved, pidfd_sender, terminal_of, wait_for, write_pid_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from estiba.runtime.arguments import Arguments
    from estiba.runtime.log import Log


def run(asked: Arguments, root: str, log: Log) -> int:
    container = load_container(root, asked.container_id())
    if container.require("running", "paused", verb="exec in") == "paused" and not asked.has("ignore-paused"):
        raise WrongStatus("cannot exec in a paused container (use --ignore-paused to override)")
    config = container.config()
    process = _process(asked, config)
    check_process(process)
    drop_unknown_capabilities(process)
    plan = _plan(container, config, process)
    plan.preserve = asked.number("preserve-fds")
    if asked.values("cgroup"):
        from estiba.linux.cgroups.below import group_below

        if plan.group is None:
            raise Unavailable(f"container {container.id} has no control group to join a part of")
        plan.group = group_below(plan.group, asked.values("cgroup"))
    check_preserved(asked)
    send_pidfd = pidfd_sender(asked)
    is_detached = asked.has("detach")
    terminal = terminal_of(asked, wants=plan.wants_terminal, is_detached=is_detached)
    foreground = terminal if isinstance(terminal, console.Foreground) else None
    pid = parent.bring_up(
        plan,
        before_pivot=lambda _pid: None,
        on_terminal=terminal.take if isinstance(terminal, console.Foreground) else terminal,
    )
    os.close(plan.target)
    log.debug(f"process {pid} runs in container {container.id}")
    if asked.value("pid-file"):
        write_pid_file(asked.value("pid-file"), pid)
    if send_pidfd is not None:
        send_pidfd(pid)
    if is_detached:
        return 0
    return wait_for(pid, foreground)


def _plan(container: Container, config: dict[str, Any], process: dict[str, Any]) -> Plan:
    plan = Plan(container_id=container.id, process=process, config=None)
    linux = config.get("linux") or {}
    plan.target = pidfd_open(container.pid)
    if start_time(container.pid) != container.record["startTime"]:
        raise InvalidInput(f"container {container.id} has ended")
    for namespace in linux.get("namespaces") or ():
        flag, _ = NAMESPACES[namespace["type"]]
        # To join the user namespace that one is in already is refused by the kernel.
        if flag != CLONE_NEWUSER or not same_namespace(container.pid, "user"):
            plan.new |= flag
    plan.linux = linux
    plan.seccomp = linux.get("seccomp")
    plan.group = container.group
    plan.document = container.document()
    affinity = process.get("execCPUAffinity") or {}
    plan.initial_processors, plan.final_processors = affinity.get("initial") or "", affinity.get("final") or ""
    return plan


def _process(asked: Arguments, config: dict[str, Any]) -> dict[str, Any]:
    """The process as --process describes it, or the container's own with another command."""
    if asked.value("process"):
        process: dict[str, Any] = json_text.load(asked.value("process"))
        if asked.has("tty"):
            process["terminal"] = True
        return process
    command = asked.operands[1:]
    if command and command[0] == "--":
        command = command[1:]
    if not command:
        raise InvalidInput("exec needs a command, or --process FILE")
    process = {**config["process"], "args": command, "terminal": asked.has("tty")}
    if asked.value("cwd"):
        process["cwd"] = asked.value("cwd")
    process["env"] = [*(process.get("env") or ()), *asked.values("env")]
    if asked.value("user"):
        uid, _, gid = asked.value("user").partition(":")
        if not uid.isdigit() or (gid and not gid.isdigit()):
            raise InvalidInput(f"--user takes UID[:GID], not {asked.value('user')!r}")
        process["user"] = {"uid": int(uid), "gid": int(gid or 0)}
    if asked.values("additional-gids"):
        groups = [int(text) for text in asked.values("additional-gids")]
        process["user"] = {**(process.get("user") or {}), "additionalGids": groups}
    if asked.values("cap"):
        process["capabilities"] = {
            kind: [*((process.get("capabilities") or {}).get(kind) or ()), *asked.values("cap")]
            for kind in ("bounding", "effective", "permitted")
        }
    if asked.has("no-new-privs"):
        process["noNewPrivileges"] = True
    if asked.value("apparmor"):
        process["apparmorProfile"] = asked.value("apparmor")
    if asked.value("process-label"):
        process["selinuxLabel"] = asked.value("process-label")
    return process
