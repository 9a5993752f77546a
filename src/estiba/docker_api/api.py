"""Everything that handlers work with, built once for a daemon."""

from __future__ import annotations

from functools import partial

from estiba.docker_api.backends import Backends
from estiba.docker_api.entering import enter
from estiba.docker_api.events import Events
from estiba.docker_api.execs import Execs
from estiba.docker_api.lives import Lives
from estiba.docker_api.threads import Threads


class Api:
    """To be built on the loop; `open`, then `close`."""

    def __init__(self, backends: Backends) -> None:
        self.backends = backends
        self.engine = backends.engine
        self.store = backends.store
        self.networks = backends.networks
        self.threads = Threads()
        self.events = Events()
        self.lives = Lives(backends.engine, self.threads, self.events)
        self.execs = Execs(partial(enter, backends.engine), self.threads, self.events)

    async def open(self) -> None:
        await self.lives.adopt()

    def close(self) -> None:
        self.lives.close()
        self.execs.close()
        self.threads.close()
