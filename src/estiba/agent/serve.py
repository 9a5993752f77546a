"""`estiba agent serve`: the parts joined; a thread for each worker, and the HTTP server until a signal.

DIR/                below the store's root: agent/
  queue.db          deliveries and jobs
  logs/N.log        what job N said
  work/             clones of jobs that are being built
  lock              held by the one agent that works here
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable
from types import TracebackType

from estiba.agent.config import AgentConfig
from estiba.agent.queue import Queue, new_owner
from estiba.agent.server import AgentServer
from estiba.agent.work import Work
from estiba.agent.worker import Workers
from estiba.errors import Conflict, NotFound
from estiba.linux.private_directories import make_private
from estiba.store.database import Database
from estiba.web.listen import Address
from estiba.web.server import HttpServer, run_until_signal

_PATIENCE_WITH_REQUESTS = 2.0
_PATIENCE_WITH_BUILDS = 6.0


class AlreadyServing(Conflict):
    def __init__(self, directory: str) -> None:
        super().__init__(
            f"another agent works on {directory}", remedy="Stop it, or give this one another --root or ESTIBA_ROOT."
        )


class _Lock:
    """``with _Lock(directory):`` this process is the only agent there, until it ends in whatever way."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._descriptor = -1

    def __enter__(self) -> None:
        self._descriptor = os.open(f"{self._directory}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise AlreadyServing(self._directory) from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


def serve(
    config: AgentConfig,
    *,
    listen: Address,
    directory: str,
    work: Work,
    announce: Callable[[str], None],
    say: Callable[[str], None],
) -> bool:
    """Serve until SIGTERM or SIGINT; builds that run then are given up, and taken up again at the next start.

    False: a build does not let go; the caller should end the process without waiting for its threads. That is safe, as
    is every other end.

    Raises:
        AlreadyServing: another agent has this directory. CannotListen, PermissionDenied: the address.
    """
    make_private(directory)
    with _Lock(directory):
        database = Database.open(f"{directory}/queue.db")
        queue = Queue(database, owner=new_owner())
        workers = Workers(config, queue, work, logs=logs_of(directory), say=say)
        application = AgentServer(config, queue, wake=workers.wake)
        if not asyncio.run(_serve(application, listen, workers, announce)):
            return False
        database.close()
        return True


async def _serve(application: AgentServer, listen: Address, workers: Workers, announce: Callable[[str], None]) -> bool:
    def begin(url: str) -> None:
        workers.start()
        announce(url)

    server = HttpServer(application.handle, address=listen)  # it belongs to the loop that runs
    try:
        await run_until_signal(server, announce=begin, patience=_PATIENCE_WITH_REQUESTS)
    finally:
        has_stopped = await asyncio.to_thread(workers.stop, _PATIENCE_WITH_BUILDS)
    return has_stopped


def open_queue(directory: str) -> Queue:
    """The queue of an agent that may be running, to look at and to retry.

    Raises:
        NotFound: no agent has worked on this directory.
    """
    if not os.path.exists(f"{directory}/queue.db"):
        raise NotFound(f"no agent has worked on {directory}", remedy="Start one with: estiba agent serve")
    return Queue(Database.open(f"{directory}/queue.db"), owner=new_owner())


def logs_of(directory: str) -> str:
    """Where the logs of an agent's jobs are."""
    return f"{directory}/logs"
