"""One exec: the runtime starts the process, which becomes our child (subreaper), so that its end is known exactly.

asker ── START {command, root, is_ours, id, process, place} ─▶ keeper ── STARTED {pid}, a terminal's descriptor | FAILED
                                                                    ── ENDED {exit_code} ─▶ asker
"""

from __future__ import annotations

import os
import signal

from estiba.engine.frames import ENDED, FAILED, STARTED, Connection, MonitorGone, listen
from estiba.engine.monitor.container import console_path
from estiba.engine.monitor.streams import received_terminal
from estiba.engine.paths import CONSOLE_SOCKET
from estiba.errors import CommandFailed, EstibaError
from estiba.linux.processes import become_subreaper, exit_status
from estiba.runtime.client import RuntimeClient
from estiba.store.snapshots.trees import remove_tree
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, NoReturn

ASKER = 3


def main() -> NoReturn:
    """Serve one exec; ends the process."""
    import _socket

    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda _number, _frame: None)  # not SIG_IGN, which is inherited
    asker = Connection(_socket.socket(fileno=ASKER))
    os.set_inheritable(ASKER, False)
    try:
        request = asker.receive().json()
    except MonitorGone:
        os._exit(0)
    become_subreaper()
    try:
        pid, terminal = _start(request)
    except (EstibaError, OSError) as error:
        code = error.exit_code if isinstance(error, CommandFailed) else 126
        message = error.message if isinstance(error, EstibaError) else str(error)
        _tell(asker, FAILED, {"message": message, "exit_code": code})
        os._exit(0)
    _tell(asker, STARTED, {"pid": pid}, terminal)
    _let_go(terminal)
    _tell(asker, ENDED, {"exit_code": _end_of(pid)})
    os._exit(0)


def _start(request: dict[str, Any]) -> tuple[int, int]:
    """The process id, and the terminal's master end, -1 without one."""
    command, root = tuple(request["command"]), request["root"]
    runtime = RuntimeClient.ours(root=root) if request["is_ours"] else RuntimeClient(command, root)
    place = request["place"]
    os.mkdir(place, 0o700)
    listener = listen(place, CONSOLE_SOCKET) if request["process"].get("terminal") else None
    try:
        pid = runtime.exec(
            request["id"],
            request["process"],
            detach=True,
            pid_file=f"{place}/pid",
            console_socket=console_path(place) if listener else None,
        )
        return pid, received_terminal(listener) if listener else -1
    finally:
        if listener:
            listener.close()
        remove_tree(place)


def _let_go(terminal: int) -> None:
    """The streams are the process's and the asker's alone."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.close(null)
    if terminal >= 0:
        os.close(terminal)


def _end_of(pid: int) -> int:
    """Its exit code. Orphans that it leaves to us are nobody's business: they go when we do."""
    while True:
        found, status = os.waitpid(-1, 0)
        if found == pid:
            return exit_status(status)


def _tell(asker: Connection, kind: int, content: object, descriptor: int = -1) -> None:
    try:
        asker.send(kind, content, descriptor=descriptor if descriptor >= 0 else None)
    except MonitorGone:
        pass  # it was killed; the process lives on
