"""How a joiner brings a process into a container where it must not go itself: it lets the container's runtime do it."""

from __future__ import annotations

import os

from estiba.engine.exec_process import exec_process
from estiba.oci import json_text
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from estiba.engine.exec_options import ExecOptions
    from estiba.engine.monitor.execs import Joined
    from estiba.runtime.client import RuntimeClient


class ByRuntime(NamedTuple):
    """Brings one process at a time into the container of `bundle`."""

    runtime: RuntimeClient
    bundle: str

    def join(self, joined: Joined, options: ExecOptions, streams: tuple[int, int, int]) -> int:
        """Start what `options` say, without a terminal and as the container's own user; gives its process id.

        Raises:
            RuntimeFailed, ContainerMissing: it could not be started.
        """
        config = json_text.load(f"{self.bundle}/config.json")
        container_id = joined.container_id
        process = exec_process(config, options, container_id=container_id, pid=0, environment=joined.environment)
        pid_file = f"{self.bundle}/joined"
        stdin, stdout, stderr = streams
        try:
            return self.runtime.exec(
                container_id, process, pid_file=pid_file, stdin=stdin, stdout=stdout, stderr=stderr
            )
        finally:
            if os.path.exists(pid_file):
                os.unlink(pid_file)
