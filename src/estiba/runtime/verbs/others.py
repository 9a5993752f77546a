"""The verbs that are not on the path of a start: each a function here or in a module of its own."""

from __future__ import annotations

import os

from estiba.errors import InvalidInput, NotThereYet, Unavailable
from estiba.oci import json_text
from estiba.runtime.errors import WrongStatus
from estiba.runtime.state import load_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from estiba.runtime.arguments import Arguments
    from estiba.runtime.log import Log


def run(asked: Arguments, root: str, log: Log) -> int:
    """Run the verb."""
    if asked.verb == "run":
        from estiba.runtime.verbs import create

        return create.run(asked, root, log)
    if asked.verb == "exec":
        from estiba.runtime.verbs import exec as exec_verb

        return exec_verb.run(asked, root, log)
    if asked.verb in ("pause", "resume"):
        return _pause_or_resume(asked, root)
    if asked.verb == "list":
        return _list(asked, root)
    if asked.verb == "ps":
        return _ps(asked, root)
    if asked.verb == "update":
        from estiba.runtime.verbs import update

        return update.run(asked, root)
    if asked.verb == "features":
        from estiba.runtime.verbs import features

        return features.run()
    if asked.verb == "events":
        from estiba.runtime.verbs import events

        return events.run(asked, root)
    if asked.verb == "spec":
        return _spec(asked)
    raise NotThereYet(f"{asked.verb} is not there yet: a container's processes cannot be saved and restored")


def _pause_or_resume(asked: Arguments, root: str) -> int:
    container = load_container(root, asked.container_id())
    group = container.group
    if group is None:
        raise WrongStatus(f"container {container.id} has no control group, so it cannot be paused")
    if asked.verb == "pause":
        container.require("running", "created", verb="pause")
        group.freeze()
    else:
        container.require("paused", verb="resume")
        group.thaw()
    return 0


def _list(asked: Arguments, root: str) -> int:
    from estiba.runtime.state import list_containers

    documents = [container.document() for container in list_containers(root)]
    if asked.has("quiet"):
        text = "".join(f"{d['id']}\n" for d in documents)
    elif asked.value("format", "table") not in ("table", "json"):
        raise InvalidInput(f"--format is table or json, not {asked.value('format')!r}")
    elif asked.value("format") == "json":
        text = json_text.dumps(documents) + "\n"
    else:
        rows = [["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]]
        rows += [[str(d[key]) for key in ("id", "pid", "status", "bundle", "created", "owner")] for d in documents]
        text = _table(rows)
    os.write(1, text.encode(errors="surrogateescape"))
    return 0


def _ps(asked: Arguments, root: str) -> int:
    container = load_container(root, asked.container_id())
    group = container.group
    try:
        pids = group.processes() if group is not None else [container.pid] if container.is_alive() else []
    except FileNotFoundError:
        pids = []
    if asked.value("format", "table") == "json":
        text = json_text.dumps(pids) + "\n"
    elif asked.value("format", "table") == "table":
        options = asked.operands[1:]
        text = _listed(options[1:] if options[:1] == ["--"] else options, pids)
    else:
        raise InvalidInput(f"--format is table or json, not {asked.value('format')!r}")
    os.write(1, text.encode(errors="surrogateescape"))
    return 0


def _listed(options: list[str], pids: Sequence[int]) -> str:
    """What ps(1) says of the processes; `options` are its own, by default -ef."""
    import subprocess

    try:
        done = subprocess.run(["ps", *(options or ["-ef"])], capture_output=True, check=False)
    except FileNotFoundError:
        raise Unavailable("ps is not installed", remedy="Use --format json, or install the package procps.") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise InvalidInput(f"ps {' '.join(options)}: {said}")
    title, *lines = done.stdout.decode(errors="surrogateescape").splitlines()
    if "PID" not in title.split():
        raise InvalidInput(f"ps {' '.join(options)} shows no PID", remedy="Choose options that show it, such as -ef.")
    column, wanted = title.split().index("PID"), {str(pid) for pid in pids}
    chosen = [line for line in lines if len(line.split()) > column and line.split()[column] in wanted]
    return "".join(line + "\n" for line in (title, *chosen))


def _spec(asked: Arguments) -> int:
    from estiba.linux.cgroups.layout import detect
    from estiba.runtime.spec import IdMapping, Rlimit, SpecOptions, container_spec

    path = os.path.join(asked.value("bundle") or ".", "config.json")
    # What runc's has, so that whoever changes a part of it meets what is expected: few capabilities, a root that
    # cannot be written, no seccomp rules, and a namespace of control groups where they are of version 2.
    options = SpecOptions(
        args=("sh",),
        terminal=True,
        hostname="estiba",
        env=("PATH=" + _PATH, "TERM=xterm"),
        read_only=True,
        capabilities=("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"),
        rlimits=(Rlimit("RLIMIT_NOFILE", 1024, 1024),),
        seccomp="unconfined",
        cgroup="new" if detect().is_unified else "host",
    )
    if asked.has("rootless"):
        users, groups = (IdMapping(0, os.geteuid(), 1),), (IdMapping(0, os.getegid(), 1),)
        options = options._replace(uid_mappings=users, gid_mappings=groups, network="host")
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(json_text.dumps(container_spec(options), indent=2) + "\n")
    except FileExistsError:
        raise InvalidInput(f"{path} exists", remedy="Remove it first.") from None
    return 0


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) + 2 for column in range(len(rows[0]))]
    lines = ("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "".join(line + "\n" for line in lines)
