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

from estiba.agent.config import AgentConfig
from estiba.agent.queue import Queue, process_owner
from estiba.agent.server import AgentServer
from estiba.agent.work import Work
from estiba.agent.worker import Workers
from estiba.errors import Conflict
from estiba.store.database import Database
from estiba.web.listen import Address
from estiba.web.server import HttpServer, run_until_signal

_PATIENCE = 10.0


class AlreadyServing(Conflict):
    def __init__(self, directory: str) -> None:
        super().__init__(
            f"another agent works on {directory}", remedy="Stop it, or give this one another --root or ESTIBA_ROOT."
        )


def serve(
    config: AgentConfig,
    *,
    listen: Address,
    directory: str,
    work: Work,
    announce: Callable[[str], None],
    say: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT; a build that runs then is given up, and taken up again at the next start.

    Raises:
        AlreadyServing: another agent has this directory. CannotListen, PermissionDenied: the address.
    """
    os.makedirs(directory, mode=0o700, exist_ok=True)
    lock = os.open(f"{directory}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyServing(directory) from None
        database = Database.open(f"{directory}/queue.db")
        try:
            asyncio.run(_serve(config, listen, directory, work, database, announce, say))
        finally:
            database.close()
    finally:
        os.close(lock)


async def _serve(
    config: AgentConfig,
    listen: Address,
    directory: str,
    work: Work,
    database: Database,
    announce: Callable[[str], None],
    say: Callable[[str], None],
) -> None:
    queue = Queue(database, owner=process_owner())
    workers = Workers(config, queue, work, logs=f"{directory}/logs", say=say)
    server = AgentServer(config, queue, logs=f"{directory}/logs", wake=workers.wake)
    workers.start()
    try:
        await run_until_signal(HttpServer(server.handle, address=listen), announce=announce, patience=_PATIENCE)
    finally:
        await asyncio.get_running_loop().run_in_executor(None, workers.stop)
