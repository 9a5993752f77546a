"""The life of one monitor as steps: prepare, start, serve, end; and again while the restart policy says so."""

from __future__ import annotations

import _socket
import os
import time

from estiba.engine import frames
from estiba.engine.lifecycle import CREATED, EXITED, RESTARTING
from estiba.engine.monitor import container, files
from estiba.engine.monitor.clients import Client
from estiba.engine.monitor.execs import Execs
from estiba.engine.monitor.joiner import Joined
from estiba.engine.monitor.log_file import LogFile, NoLog
from estiba.engine.monitor.loop import READ, Loop, child_signals
from estiba.engine.monitor.streams import Streams
from estiba.engine.paths import ATTACH_SOCKET, EXEC_SOCKET
from estiba.engine.records import Containers
from estiba.engine.restart_policy import Ended, decide
from estiba.errors import CommandFailed, EstibaError
from estiba.linux.namespaces import has_root
from estiba.linux.processes import become_subreaper, exit_status
from estiba.runtime.client import RuntimeClient
from estiba.store.database import Database
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.monitor.request import StartRequest
    from estiba.engine.paths import ContainerPaths
    from estiba.linux.own_ids import OwnIds
    from estiba.networks.ledger import EndpointRow
    from estiba.networks.networks import Networks


class Life:
    """Everything that a monitor has in its hands. `lock` is the descriptor of the container's lock."""

    def __init__(self, request: StartRequest, paths: ContainerPaths, starter: _socket.socket, lock: int) -> None:
        self.request = request
        self.paths = paths
        self.lock = lock
        self.loop = Loop()
        self.containers = Containers(Database.open(f"{request.root}/state.db"))
        if request.runtime_is_ours:
            self.runtime = RuntimeClient.ours(root=request.runtime_root, creates=True)
        else:
            self.runtime = RuntimeClient(request.runtime, request.runtime_root, ends_with_caller=True)
        self.clients: list[Client] = []
        self.starter = self._client(starter)
        self.starter.wants_output = request.attach
        self.starter.gives_input = request.attach_input
        self.rootfs = ""
        self.own: OwnIds | None = None
        self.networks: Networks | None = None
        self.log: LogFile | NoLog = NoLog()
        self.network: container.Network | None = None
        self.links: tuple[EndpointRow, ...] = ()
        self.listener: _socket.socket | None = None
        self.execs: Execs | None = None
        self.streams: Streams | None = None
        self.run: container.Run | None = None
        self.status: int | None = None
        self.exit_code = 0
        self.oom_killed = False
        self.stop_wanted = False
        self.restarts = 0
        self.delay = 0.0
        self.started = 0.0

    def live(self) -> None:
        """From the request to the end."""
        try:
            self._prepare()
            self._start()
        except (EstibaError, OSError) as error:
            self._fail(error)
            return
        self.starter.send(frames.STARTED, {"pid": self.run.pid if self.run else 0})
        self._serve()
        self._finish()

    # The steps

    def _prepare(self) -> None:
        become_subreaper()
        os.makedirs(self.paths.bundle, mode=0o700, exist_ok=True)
        if self.request.options.userns not in ("", "host"):
            from estiba.engine.monitor.own_ids import own_ids

            self.own = own_ids(self.request)
        self.rootfs = files.mount_rootfs(self.request, self.paths, self.own)
        if not self.request.runtime_is_ours and has_root():
            files.hide_unified_cgroups()
        files.fill_volumes(self.request, self.rootfs, self.own)
        self.network = container.connect(self.request, self._networks, self.own)
        logs = self.request.options.logs
        if logs.driver != "none":
            self.log = LogFile(self.paths.log, size=logs.size, files=logs.files)
        self.listener = frames.listen(self.paths.bundle, ATTACH_SOCKET)
        self.loop.watch(self.listener.fileno(), READ, self._accept)
        if self.runtime.forks:
            joined = Joined(self.request.runtime_root, self.request.container_id, self.request.process.env)
            self.execs = Execs(self.loop, joined, directory=self.paths.bundle, name=EXEC_SOCKET)
        wakeups = child_signals()
        self.loop.watch(wakeups, READ, lambda _events: self._signalled(wakeups))

    def _start(self) -> None:
        assert self.network is not None
        options = self.request.options
        self.status = None
        self.streams = Streams(self.loop, self._output, tty=options.tty, interactive=options.interactive)
        try:
            self.run = container.begin(
                self.request, self.paths, self.network, self.runtime, self.streams, rootfs=self.rootfs, own=self.own
            )
        except BaseException:
            self.streams.close()
            self.streams = None
            raise
        self.started = time.time()
        self.containers.set_running(
            self.request.container_id,
            durable=False,
            pid=self.run.pid,
            pid_start=self.run.pid_start,
            boot=self.request.boot,
            run=self.request.run,
            started=self.started,
            restarts=self.restarts,
            network=self.network.networking.to_text(),
        )
        self.streams.started()

    def _serve(self) -> None:
        """Until the container has ended and is not to start again."""
        while True:
            while self.status is None:
                self.loop.turn()
            self._ended(self.status)
            lived = time.time() - self.started
            ended = Ended(self.exit_code, lived, self.stop_wanted or self._was_stopped())
            decision = decide(self.request.options.restart, ended, restarts=self.restarts, last_delay=self.delay)
            if decision.delay is None or not self._restart(decision.delay):
                return

    def _restart(self, delay: float) -> bool:
        """Wait, and start again; False when somebody stopped the container meanwhile, or it cannot start."""
        self.delay = delay
        self.containers.set_state(
            self.request.container_id, RESTARTING, pid=0, exit_code=self.exit_code, finished=time.time()
        )
        deadline = time.monotonic() + delay
        while time.monotonic() < deadline and not self.stop_wanted:
            self.loop.turn(deadline)
        if self.stop_wanted:
            return False
        self.restarts += 1
        try:
            self._start()
        except (EstibaError, OSError) as error:
            self.exit_code = error.exit_code if isinstance(error, CommandFailed) else 125
            self.containers.set_exited(
                self.request.container_id, durable=False, exit_code=self.exit_code, error=_sentence(error)
            )
            return False
        return True

    def _ended(self, status: int) -> None:
        """The first process is gone: take its last words, and let the runtime forget it."""
        assert self.streams is not None and self.run is not None
        self.exit_code = exit_status(status)
        self.oom_killed = self.run.oom.has_happened()
        container.end(self.request, self.runtime)
        self._reap()
        if self.network is not None and self.network.user is not None:
            self.network.user.end()
        self.streams.drain()
        self.streams.close()
        self.log.end()
        self.streams = self.run = None

    def _finish(self) -> None:
        """Give everything back, write down the end, and tell it to those who wait."""
        self._release()
        if self.request.options.auto_remove:
            self._remove()
        else:
            self.containers.set_exited(
                self.request.container_id,
                durable=False,
                exit_code=self.exit_code,
                oom_killed=self.oom_killed,
                finished=time.time(),
            )
        self._accept(READ)  # those who came while we were busy
        ended = {"exit_code": self.exit_code, "oom_killed": self.oom_killed}
        for client in list(self.clients):
            client.send(frames.ENDED, ended)
        self._say_goodbye()

    def _remove(self) -> None:
        from estiba.engine.removal import remove_container
        from estiba.engine.volumes import Volumes
        from estiba.store.store import Store

        store = Store.open(self.request.root, snapshotter=self.request.snapshotter)
        containers = Containers(store.database)  # of the same connection, so that its steps join one transaction
        volumes = Volumes(store, containers)
        remove_container(store, containers, volumes, self.paths, anonymous_volumes=True)

    def _fail(self, error: EstibaError | OSError) -> None:
        """The start failed: nothing is left, and the container is as it was before."""
        self._release()
        record = self.containers.get(self.request.container_id)
        code = error.exit_code if isinstance(error, CommandFailed) else 125
        if record is not None:
            back = EXITED if record.started else CREATED
            self.containers.set_state(
                self.request.container_id, back, exit_code=code, error=_sentence(error), finished=time.time()
            )
        remedy = error.remedy if isinstance(error, EstibaError) else ""
        answer = {"message": _sentence(error), "remedy": remedy, "exit_code": code}
        self.starter.send(frames.FAILED, answer)
        self._say_goodbye()

    def _release(self) -> None:
        """Give back all that the container had, but the place where others reach us."""
        self.log.close()
        if self.network is not None:
            if self.network.user is not None:
                self.network.user.end()
            if self.network.descriptor >= 0:
                self.links = self._networks().give_back(self.request.container_id)
                os.close(self.network.descriptor)
            self.network = None
        if os.path.isdir(self.paths.rootfs):
            files.unmount_rootfs(self.paths)
        if self.own is not None:
            self.own.close()
            self.own = None

    def _say_goodbye(self) -> None:
        """Answer for the container no more, then stay until everybody has what was meant for them, or is gone."""
        if self.listener is not None:
            self.loop.forget(self.listener.fileno())
            self.listener.close()
        if self.execs is not None:
            self.execs.close()
        container.remove_bundle(self.paths)
        os.close(self.lock)
        if self.links:
            self._networks().unplug(self.links)
        while any(client.is_open and client.has_waiting for client in self.clients):
            self.loop.turn()
        for client in self.clients:
            client.close()

    def _networks(self) -> Networks:
        if self.networks is None:
            from estiba.networks.networks import Networks  # what it loads is of no use to one without a network

            self.networks = Networks(root=self.request.root, run=self.request.run)
        return self.networks

    # What happens meanwhile

    def _signalled(self, wakeups: int) -> None:
        try:
            while os.read(wakeups, 512):
                pass
        except BlockingIOError:
            pass
        self._reap()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if self.run is not None and pid == self.run.pid:
                self.status = status
            elif self.execs is not None:
                self.execs.ended(pid, status)

    def _output(self, stream: str, data: bytes) -> None:
        self.log.write(stream, data)
        kind = frames.OUTPUT if stream == "stdout" else frames.ERROR_OUTPUT
        for client in self.clients:
            if client.wants_output:
                client.send(kind, data)
        self._balance()

    def _balance(self) -> None:
        """A client that is behind holds up the container, and a container that reads nothing its clients."""
        if self.streams is None:
            return
        self.streams.hold(any(client.is_behind for client in self.clients))
        for client in self.clients:
            if client.is_open and client.gives_input and client.is_heard == self.streams.is_input_full:
                client.listen(not self.streams.is_input_full)

    def _accept(self, _events: int) -> None:
        assert self.listener is not None
        while True:
            try:
                socket = frames.accept(self.listener)
            except (BlockingIOError, ConnectionAbortedError):
                return
            self._client(socket)

    def _client(self, socket: _socket.socket) -> Client:
        client = Client(socket, self.loop, self._frame, on_change=self._changed)
        self.clients.append(client)
        return client

    def _changed(self, client: Client) -> None:
        """A client has caught up or is gone."""
        if not client.is_open:
            self.clients = [other for other in self.clients if other.is_open]
            # `run -i` is the only one who gives input: without it there is no more (Docker's StdinOnce).
            if client is self.starter and client.gives_input and self.streams is not None:
                self.streams.end_input()
        self._balance()

    def _frame(self, client: Client, frame: frames.Frame) -> None:
        if frame.kind == frames.INPUT and self.streams is not None:
            self.streams.write(frame.content)
            self._balance()
        elif frame.kind == frames.INPUT_END and self.streams is not None:
            self.streams.end_input()
        elif frame.kind == frames.RESIZE and self.streams is not None:
            rows, columns = frame.json()
            self.streams.resize(rows, columns)
        elif frame.kind == frames.ATTACH:
            client.wants_output = True
            client.gives_input = bool(frame.json()["input"])
            client.send(frames.DONE)
        elif frame.kind in (frames.SIGNAL, frames.STOP):
            self.stop_wanted = self.stop_wanted or frame.kind == frames.STOP
            self._signal(frame.json())
            client.send(frames.DONE)

    def _signal(self, number: int) -> None:
        if self.run is not None and self.status is None:
            try:
                os.kill(self.run.pid, number)
            except ProcessLookupError:
                pass

    def _was_stopped(self) -> bool:
        record = self.containers.get(self.request.container_id)
        return record is None or record.stop_wanted


def _sentence(error: EstibaError | OSError) -> str:
    return error.message if isinstance(error, EstibaError) else str(error)
