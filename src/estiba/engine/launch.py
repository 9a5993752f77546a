"""Starting a monitor: a process of its own, begun early, so that it gets ready while its request is being prepared."""

from __future__ import annotations

import os
import sys

from estiba.engine import frames
from estiba.errors import CommandFailed
from estiba.runtime import interpreter
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.locks import Lock
    from estiba.engine.monitor.request import StartRequest

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class StartFailed(CommandFailed):
    """The container did not start; `exit_code` is 127 or 126 where its program is missing or cannot run, else 125."""


class PendingMonitor:
    """A monitor that waits for its request. A context manager: without a request it ends by itself.

    `run` is the run directory; the monitor only shows it, to whoever looks at the list of processes.
    """

    def __init__(self, run: str) -> None:
        self.connection, theirs = frames.pair()
        self._is_handed_over = False
        launcher = os.path.join(os.path.dirname(os.path.abspath(__file__)), "monitor", "launcher.py")
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        actions = [
            (os.POSIX_SPAWN_DUP2, null, 0),
            (os.POSIX_SPAWN_DUP2, null, 1),
            (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3),
        ]
        # It makes the container itself where the runtime is ours, so the host's interpreter must be out of reach.
        executable, held = interpreter.protected(sys.executable)
        try:
            self._pid = os.posix_spawn(
                executable, [sys.executable, "-I", "-S", launcher, run], _ENVIRONMENT, file_actions=actions
            )
        finally:
            theirs.close()
            for descriptor in (null, *held):
                os.close(descriptor)

    def __enter__(self) -> PendingMonitor:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_handed_over:
            self.connection.close()
        self._reap()

    def begin(self, request: StartRequest, lock: Lock) -> frames.Connection:
        """Hand over request and lock; gives the connection once the container runs.

        Raises:
            StartFailed: it could not start; everything is as it was before. MonitorGone: the monitor broke.
        """
        self.connection.send(frames.START, request.encoded(), descriptor=lock.descriptor)
        lock.release()
        answer = self.connection.receive()
        self._reap()
        if answer.kind == frames.FAILED:
            facts = answer.json()
            raise StartFailed(facts["message"], exit_code=facts["exit_code"], remedy=facts["remedy"])
        self._is_handed_over = True
        return self.connection

    def _reap(self) -> None:
        """The launcher forks and ends at once; the monitor itself is nobody's child."""
        if self._pid:
            os.waitpid(self._pid, 0)
            self._pid = 0
