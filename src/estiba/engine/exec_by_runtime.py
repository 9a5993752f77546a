"""The way of `exec` through the runtime's own verb: where the container's monitor takes no processes in.

The process becomes a child of this one (subreaper), so that its end is waited for and not guessed.
"""

from __future__ import annotations

import os

from estiba.engine import another_runtime, lifecycle
from estiba.engine import exec_process as planning
from estiba.engine.exec_options import ExecOptions
from estiba.engine.frames import listen
from estiba.engine.monitor.container import console_path
from estiba.engine.paths import CONSOLE_SOCKET, ContainerPaths
from estiba.errors import Conflict
from estiba.linux.processes import become_subreaper, exit_status, pidfd_open
from estiba.oci import json_text
from estiba.store.snapshots.trees import remove_tree
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from estiba.engine.engine import Engine
    from estiba.engine.monitor.streams import Streams
    from estiba.engine.records import ContainerRecord


def exec_process(engine: Engine, record: ContainerRecord, options: ExecOptions) -> dict[str, Any]:
    """The runtime-spec's `process`: the container's own, with what is asked for.

    Raises:
        WrongState: the container does not run. NotFound, InvalidInput: it knows no such user.
    """
    lifecycle.must_act("exec", record.state, name=record.name)
    paths = ContainerPaths(engine.store.paths.root, record.run, record.id)
    return planning.exec_process(
        json_text.load(paths.config),
        options,
        container_id=record.id,
        pid=record.pid,
        environment=record.parsed_process().env,
    )


class ByRuntime:
    """A process that the runtime makes."""

    def __init__(self, engine: Engine, record: ContainerRecord) -> None:
        self._engine = engine
        self._record = record
        self._pid = 0
        self._process = -1

    @property
    def descriptor(self) -> int:
        """The process, readable once it has ended."""
        return self._process

    def start(self, options: ExecOptions, streams: Streams) -> None:
        """Let the runtime start it.

        Raises:
            WrongState: the container does not run. RuntimeFailed: the process could not be started.
        """
        process = exec_process(self._engine, self._record, options)
        another_runtime.leave_out_what_nobody_has(process)
        become_subreaper()
        bundle = ContainerPaths(self._engine.store.paths.root, self._record.run, self._record.id).bundle
        place = f"{bundle}/exec-{os.urandom(8).hex()}"
        os.mkdir(place, 0o700)
        listener = listen(place, CONSOLE_SOCKET) if options.tty else None
        try:
            self._pid = self._engine.runtime_of(self._record).exec(
                self._record.id,
                process,
                detach=True,
                pid_file=f"{place}/pid",
                console_socket=console_path(place) if listener else None,
                stdin=streams.stdin,
                stdout=streams.stdout,
                stderr=streams.stderr,
            )
            if listener:
                streams.take_terminal(listener)
        finally:
            if listener:
                listener.close()
            remove_tree(place)
        try:
            self._process = pidfd_open(self._pid)
        except ProcessLookupError:
            raise Conflict("the process was started, but the runtime keeps its end to itself") from None

    def exit_code(self) -> int | None:
        """How the process has ended; None while it runs."""
        try:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError as error:
            raise Conflict("the process was started, but the runtime keeps its end to itself") from error
        return exit_status(status) if pid else None

    def close(self) -> None:
        """Leave the process to itself, if it runs still."""
        if self._process >= 0:
            os.close(self._process)
