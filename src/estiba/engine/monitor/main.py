"""The monitor: the small process that answers for one container, from its start to its end.

It waits for its starter's request, prepares files and network, lets the runtime start the container, keeps its output,
serves whoever attaches, starts it again where its policy says so, and writes down how it ended. It holds the
container's lock all the time: when it is killed, the next command sees the free lock and cleans up (`engine.recovery`).
"""

from __future__ import annotations

import _socket
import os
import struct
import sys

from estiba.engine.frames import CHUNK, FAILED, START, Decoder, encoded
from estiba.engine.monitor.request import StartRequest
from estiba.engine.paths import ContainerPaths
from estiba.linux.signals import SIGHUP, SIGINT, SIGQUIT, handle
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn

STARTER = 3


def main() -> NoReturn:
    """Serve one container; ends the process."""
    for number in (SIGHUP, SIGINT, SIGQUIT):
        # Not SIG_IGN, which the container's program would inherit.
        handle(number, lambda _number, _frame: None)
    os.umask(0o022)
    starter = _socket.socket(fileno=STARTER)
    os.set_inheritable(STARTER, False)
    # What the work ahead needs is read while the starter prepares its request.
    from estiba.engine.monitor import ordinary_user
    from estiba.engine.monitor.life import Life
    from estiba.engine.monitor.serving import Serving
    from estiba.runtime import lifecycle  # noqa: F401

    request, lock = _receive(starter)
    if request is None:
        os._exit(0)
    _redirect(ContainerPaths(request.root, request.run, request.container_id).monitor_log)
    os.chdir("/")
    try:
        if ordinary_user.is_root_of_own_namespace():
            from estiba.linux.user_namespace import note

            note(request.run, os.getpid())  # our starter may end before the container runs
        serving = Serving()
        serving.starter = serving.add_client(starter)
        serving.starter.wants_output, serving.starter.gives_input = request.attach, request.attach_input
        life = Life(request, serving, lock)
    except Exception as error:  # noqa: BLE001 - the edge of a process: whatever it is, the starter must hear of it
        _report(starter, error)
    life.live()
    sys.stderr.flush()
    os._exit(0)


def _receive(starter: _socket.socket) -> tuple[StartRequest | None, int]:
    """The request and the descriptor of the lock; None when the starter thought better of it."""
    decoder = Decoder()
    lock = -1
    while True:
        data, rights, _, _ = starter.recvmsg(CHUNK, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
        for level, kind, content in rights:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                lock = struct.unpack("i", content[:4])[0]
        if not data:
            return None, lock
        for frame in decoder.feed(data):
            if frame.kind == START:
                return StartRequest.decode(frame.content), lock


def _redirect(path: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for source, target in ((null, 0), (null, 1), (log, 2)):
        os.dup2(source, target)
    os.close(log)
    os.close(null)


def _report(starter: _socket.socket, error: Exception) -> NoReturn:
    import traceback

    traceback.print_exception(error)
    sys.stderr.flush()
    starter.setblocking(True)
    starter.sendall(encoded(FAILED, {"message": f"the monitor failed: {error}", "remedy": "", "exit_code": 125}))
    os._exit(1)
