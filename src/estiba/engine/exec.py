"""One more process in a running container, by the runtime's `exec`, with its streams and its real exit code.

The process becomes a child of this one (subreaper), so that its end is waited for and not guessed.
"""

from __future__ import annotations

import json
import os
import signal

from estiba.engine import lifecycle
from estiba.engine.frames import CHUNK, listen
from estiba.engine.monitor.container import console_path
from estiba.engine.monitor.files import find_user
from estiba.engine.monitor.loop import READ, Loop
from estiba.engine.monitor.streams import Streams
from estiba.engine.paths import CONSOLE_SOCKET, ContainerPaths
from estiba.engine.relay import Outcome, Signals, write_all
from estiba.engine.spec import Place, process_environment
from estiba.engine.terminal import DetachKeys, RawTerminal, size_of
from estiba.errors import Conflict
from estiba.linux.processes import become_subreaper, exit_status
from estiba.store.snapshots.trees import remove_tree
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from estiba.engine.engine import Engine
    from estiba.engine.records import ContainerRecord
    from estiba.engine.relay import Ends


class ExecOptions(NamedTuple):
    """What to run. `env` are ``KEY=value`` beside the container's own; `user` "" is the container's."""

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    interactive: bool = False
    privileged: bool = False


def start_detached(engine: Engine, record: ContainerRecord, options: ExecOptions) -> None:
    """Start the process and leave it; its output goes nowhere.

    Raises:
        WrongState: the container does not run. RuntimeFailed: the process could not be started.
    """
    process = exec_process(engine, record, options)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        engine.runtime_of(record).exec(
            record.id, process | {"terminal": False}, detach=True, stdin=null, stdout=null, stderr=null
        )
    finally:
        os.close(null)


def run(engine: Engine, record: ContainerRecord, options: ExecOptions, ends: Ends) -> Outcome:
    """Run the process to its end between the user's `ends`; the exit code is its own, or 128 + signal.

    Raises:
        WrongState: the container does not run. RuntimeFailed: the process could not be started.
    """
    process = exec_process(engine, record, options)
    become_subreaper()
    numbers = (signal.SIGCHLD, signal.SIGWINCH) if options.tty else (signal.SIGCHLD,)
    with Signals(numbers) as arrived:
        return _Session(engine, record, options, ends, arrived).run(process)


class _Session:
    """One exec in the foreground."""

    def __init__(
        self, engine: Engine, record: ContainerRecord, options: ExecOptions, ends: Ends, arrived: Signals
    ) -> None:
        self._engine = engine
        self._record = record
        self._ends = ends
        self._arrived = arrived
        self._keys = DetachKeys(ends.detach_keys)
        self._loop = Loop()
        self._streams = Streams(self._loop, self._output, tty=options.tty, interactive=options.interactive)
        self._pid = 0
        self._outcome: Outcome | None = None

    def run(self, process: dict[str, Any]) -> Outcome:
        try:
            self._start(process)
            with RawTerminal(self._ends.input if self._ends.raw else -1):
                self._loop.watch(self._arrived.descriptor, READ, lambda _events: self._signalled())
                self._listen(True)
                self._resize()
                self._reap()
                while self._outcome is None:
                    self._loop.turn()
            return self._outcome
        finally:
            self._streams.close()

    def _start(self, process: dict[str, Any]) -> None:
        bundle = ContainerPaths(self._engine.store.paths.root, self._record.run, self._record.id).bundle
        place = f"{bundle}/exec-{os.urandom(8).hex()}"
        os.mkdir(place, 0o700)
        listener = listen(place, CONSOLE_SOCKET) if self._streams.tty else None
        try:
            self._pid = self._engine.runtime_of(self._record).exec(
                self._record.id,
                process,
                detach=True,
                pid_file=f"{place}/pid",
                console_socket=console_path(place) if listener else None,
                stdin=self._streams.stdin,
                stdout=self._streams.stdout,
                stderr=self._streams.stderr,
            )
            if listener:
                self._streams.take_terminal(listener)
        finally:
            if listener:
                listener.close()
            remove_tree(place)
        self._streams.started()

    def _output(self, stream: str, data: bytes) -> None:
        write_all(self._ends.output if stream == "stdout" else self._ends.error, data)

    def _listen(self, wanted: bool) -> None:
        if self._ends.input >= 0:
            self._loop.watch(self._ends.input, READ if wanted else 0, lambda _events: self._typed())

    def _typed(self) -> None:
        try:
            data = os.read(self._ends.input, CHUNK)
        except OSError:  # EIO: the terminal is gone
            data = b""
        if not data:
            self._listen(False)
            self._streams.end_input()
            return
        passed, leaves = self._keys.feed(data)
        self._streams.write(passed)
        if leaves:
            self._outcome = Outcome(None)
        while self._streams.is_input_full and self._outcome is None:
            self._listen(False)
            self._loop.turn()
        self._listen(True)

    def _signalled(self) -> None:
        numbers = self._arrived.read()
        if signal.SIGWINCH in numbers:
            self._resize()
        if signal.SIGCHLD in numbers:
            self._reap()

    def _resize(self) -> None:
        if self._streams.tty and (size := size_of(self._ends.input)):
            self._streams.resize(*size)

    def _reap(self) -> None:
        try:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError as error:
            raise Conflict("the process was started, but the runtime keeps its end to itself") from error
        if pid:
            self._streams.drain()
            self._outcome = Outcome(exit_status(status))


def exec_process(engine: Engine, record: ContainerRecord, options: ExecOptions) -> dict[str, Any]:
    """The runtime-spec's `process`: the container's own, with what is asked for."""
    lifecycle.must_act("exec", record.state, name=record.name)
    paths = ContainerPaths(engine.store.paths.root, record.run, record.id)
    with open(paths.config, encoding="utf-8") as file:
        config = json.load(file)
    process: dict[str, Any] = config["process"]
    home = next((e.removeprefix("HOME=") for e in process["env"] if e.startswith("HOME=")), "/")
    if options.user:
        user = find_user(options.user, f"/proc/{record.pid}/root")
        home = user.home
        process["user"] = {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.additional_gids)}
    own = record.parsed_process()
    place = Place(record.id, config.get("hostname", ""), home=home)
    environment = dict(entry.partition("=")[::2] for entry in process_environment(own.env, place))
    if options.tty:
        environment.setdefault("TERM", "xterm")
    environment.update(entry.partition("=")[::2] for entry in options.env)
    process["env"] = [f"{name}={value}" for name, value in environment.items()]
    process["args"] = list(options.args)
    process["cwd"] = options.working_dir or process["cwd"]
    process["terminal"] = options.tty
    process.pop("consoleSize", None)
    if options.privileged:
        from estiba.runtime.spec import ALL_CAPABILITIES

        names = list(ALL_CAPABILITIES)
        process["capabilities"] = {"bounding": names, "effective": names, "permitted": names}
    return process
