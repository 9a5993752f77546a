"""`exec`: one more program in a running container."""

from __future__ import annotations

import os

from estiba.errors import InvalidInput, Unavailable
from estiba.oci import json_text
from estiba.runtime import console, joining
from estiba.runtime.process import parent
from estiba.runtime.state import load_container
from estiba.runtime.verbs.create import check_preserved, pidfd_sender, terminal_of, wait_for, write_pid_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from estiba.runtime.arguments import Arguments
    from estiba.runtime.log import Log


def run(asked: Arguments, root: str, log: Log) -> int:
    container = load_container(root, asked.container_id())
    joining.must_run(container, or_be_paused=asked.has("ignore-paused"))
    config = container.config()
    plan = joining.plan(container, config, _process(asked, config))
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
