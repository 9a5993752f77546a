"""What `exec` is asked for, and the runtime-spec's `process` that it means in a container that runs."""

from __future__ import annotations

from estiba.engine.monitor.files import find_user
from estiba.engine.spec import Place, process_environment
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from estiba.engine.exec_options import ExecOptions


def exec_process(
    config: dict[str, Any], options: ExecOptions, *, container_id: str, pid: int, environment: Sequence[str]
) -> dict[str, Any]:
    """The container's own process with what is asked for; `config` is the bundle's, which is changed.

    `pid` is the container's first process, and `environment` the entries that the container was made with.

    Raises:
        NotFound, InvalidInput: the container knows no such user.
    """
    process: dict[str, Any] = config["process"]
    home = next((e.removeprefix("HOME=") for e in process["env"] if e.startswith("HOME=")), "/")
    if options.user:
        user = find_user(options.user, f"/proc/{pid}/root")
        home = user.home
        process["user"] = {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.additional_gids)}
    place = Place(container_id, config.get("hostname", ""), home=home)
    entries = dict(entry.partition("=")[::2] for entry in process_environment(tuple(environment), place))
    if options.tty:
        entries.setdefault("TERM", "xterm")
    entries.update(entry.partition("=")[::2] for entry in options.env)
    process["env"] = [f"{name}={value}" for name, value in entries.items()]
    process["args"] = list(options.args)
    process["cwd"] = options.working_dir or process["cwd"]
    process["terminal"] = options.tty
    process.pop("consoleSize", None)
    if options.privileged:
        from estiba.runtime.spec import ALL_CAPABILITIES

        names = list(ALL_CAPABILITIES)
        process["capabilities"] = {"bounding": names, "effective": names, "permitted": names}
        process.pop("apparmorProfile", None)
        process.pop("selinuxLabel", None)
    return process
