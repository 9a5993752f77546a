"""`create` and `run`: a container from a bundle."""

from __future__ import annotations

import os

from estiba.linux.signals import handle
from estiba.runtime import console, lifecycle
from estiba.runtime.bundle import drop_unknown_capabilities, load_bundle
from estiba.runtime.errors import BadBundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from estiba.runtime.arguments import Arguments
    from estiba.runtime.log import Log

# What a caller may send to us in the foreground, meant for the program.
FORWARDED = (1, 2, 3, 10, 12, 15)


def run(asked: Arguments, root: str, log: Log) -> int:
    """The verb `create`, or `run`."""
    bundle = load_bundle(asked.value("bundle") or ".", config=asked.value("config"))
    unknown = drop_unknown_capabilities(bundle.config["process"])
    if unknown:
        log.warning(f"ignoring unknown or unavailable capabilities: {', '.join(unknown)}")
    is_run = asked.verb == "run"
    is_detached = not is_run or asked.has("detach")
    check_preserved(asked)
    send_pidfd = pidfd_sender(asked)
    terminal = terminal_of(asked, wants=bool(bundle.config["process"].get("terminal")), is_detached=is_detached)
    has_group, open_scope = _manager(asked)
    container = lifecycle.create(
        root,
        asked.container_id(),
        bundle,
        on_terminal=terminal.take if isinstance(terminal, console.Foreground) else terminal,
        preserve=asked.number("preserve-fds"),
        no_pivot=asked.has("no-pivot"),
        new_keyring=not asked.has("no-new-keyring"),
        has_group=has_group,
        open_scope=open_scope,
    )
    log.debug(f"created container {container.id} with process {container.pid}")
    try:
        if asked.value("pid-file"):
            write_pid_file(asked.value("pid-file"), container.pid)
        if send_pidfd is not None:
            send_pidfd(container.pid)
        if is_run:
            lifecycle.begin(container)
    except BaseException:
        lifecycle.destroy(container)
        raise
    if is_detached:
        return 0
    code = wait_for(container.pid, terminal if isinstance(terminal, console.Foreground) else None)
    if not asked.has("keep"):
        lifecycle.destroy(container)
    return code


def _manager(asked: Arguments) -> tuple[bool, lifecycle.ScopeOpener | None]:
    """Whether the container is to have a control group, and what plans it where that is systemd's."""
    if not (asked.has("systemd-cgroup") or asked.value("cgroup-manager")):
        return True, None
    from estiba.runtime import managers

    return managers.manager_of(asked) != "disabled", managers.scope_opener(asked)


def terminal_of(
    asked: Arguments, *, wants: bool, is_detached: bool
) -> Callable[[int], None] | console.Foreground | None:
    """Who gets the master end of the terminal.

    Raises:
        BadBundle: a detached program wants a terminal and nobody would have it, or the other way round.
    """
    path = asked.value("console-socket")
    if not wants:
        if path:
            raise BadBundle("--console-socket is given, and process.terminal is false")
        return None
    if path:
        return console.send_to_socket(path)
    if is_detached:
        raise BadBundle("process.terminal is true: give a --console-socket for the terminal")
    return console.Foreground()


def check_preserved(asked: Arguments) -> None:
    """Raise BadBundle where --preserve-fds names a descriptor that nobody opened for us."""
    for number in range(asked.number("preserve-fds")):
        try:
            os.fstat(3 + number)
        except OSError:
            raise BadBundle(f"--preserve-fds: preserved-fd {number} (descriptor {3 + number}) is not open") from None


def pidfd_sender(asked: Arguments) -> Callable[[int], None] | None:
    """What sends a process's descriptor to the socket of --pidfd-socket, where that is given."""
    if not asked.value("pidfd-socket"):
        return None
    from estiba.runtime import pidfds

    return pidfds.sender(asked.value("pidfd-socket"))


def write_pid_file(path: str, pid: int) -> None:
    """Write the pid so that a reader sees all of it or no file."""
    directory, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(directory, f".{name}")
    with open(temporary, "w", encoding="ascii") as file:
        file.write(str(pid))
    os.rename(temporary, path)


def wait_for(pid: int, terminal: console.Foreground | None) -> int:
    """Wait for our child `pid`, passing signals on to it; gives its exit code, 128 + n after signal n."""

    def forward(number: int, _frame: object) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    for number in FORWARDED:
        handle(number, forward)
    if terminal is not None:
        terminal.serve()
    while True:
        # As the subreaper we also get orphans of the container when it shares our PID namespace.
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
