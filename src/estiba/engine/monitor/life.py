"""The life of one monitor as steps: prepare, start, serve, end; and again while the restart policy says so.

While the container runs, `serving` does what there is to do, and all of this may lie packed (`settling`).
"""

from __future__ import annotations

import os
import time

from estiba.engine import exec_channel, frames
from estiba.engine.lifecycle import CREATED, EXITED, RESTARTING
from estiba.engine.monitor import container, files, networking, settling
from estiba.engine.monitor.execs import Execs, Joined
from estiba.engine.monitor.log_file import LogFile
from estiba.engine.monitor.stamp import is_as_loaded
from estiba.engine.paths import ATTACH_SOCKET, EXEC_SOCKET, ContainerPaths
from estiba.engine.records import Containers
from estiba.engine.restart_policy import STOP_TIMEOUT, Ended, RestartPolicy, decide
from estiba.engine.spec import capabilities
from estiba.errors import CommandFailed, Conflict, EstibaError
from estiba.linux.namespaces import has_root
from estiba.linux.processes import become_subreaper, exit_status
from estiba.linux.signals import parse_signal
from estiba.runtime.client import RuntimeClient
from estiba.store.database import Database
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from estiba.engine.monitor.clients import Client
    from estiba.engine.monitor.health import Checks
    from estiba.engine.monitor.request import StartRequest
    from estiba.engine.monitor.serving import Serving
    from estiba.engine.options import ContainerOptions, Membership
    from estiba.linux.own_ids import OwnIds
    from estiba.networks.ledger import EndpointRow
    from estiba.networks.networks import Networks

_OF_THE_PROGRAM = ("serving", "_containers", "_runtime")  # what is not packed, for each program has its own


class Life:
    """Everything that a monitor has in its hands beside what it serves with. `lock` is the descriptor of the
    container's lock."""

    checks: Checks | None = None
    kill_at: float | None = None
    restart_wanted = False

    def __init__(self, request: StartRequest, serving: Serving, lock: int) -> None:
        self.request = request
        self.serving = serving
        self.lock = lock
        self._containers: Containers | None = None
        self._runtime: RuntimeClient | None = None
        self.rootfs = ""
        self.own: OwnIds | None = None
        self.networks: Networks | None = None
        self.network: networking.Network | None = None
        self.links: tuple[EndpointRow, ...] = ()
        self.run: container.Run | None = None
        self.exit_code = 0
        self.oom_killed = False
        self.restarts = 0
        self.delay = 0.0
        self.started = 0.0
        serving.life = lambda: self

    @property
    def paths(self) -> ContainerPaths:
        return ContainerPaths(self.request.root, self.request.run, self.request.container_id)

    @property
    def containers(self) -> Containers:
        """The table, opened when it is first asked for."""
        if self._containers is None:
            self._containers = Containers(Database.open(f"{self.request.root}/state.db"))
        return self._containers

    @property
    def runtime(self) -> RuntimeClient:
        if self._runtime is None:
            if self.request.runtime_is_ours:
                self._runtime = RuntimeClient.ours(root=self.request.runtime_root, creates=True)
            else:
                self._runtime = RuntimeClient(self.request.runtime, self.request.runtime_root, ends_with_caller=True)
        return self._runtime

    def live(self) -> None:
        """From the request to the end."""
        try:
            self._prepare()
            self._start()
        except (EstibaError, OSError) as error:
            self._fail(error)
            return
        self._tell_starter(frames.STARTED, {"pid": self.serving.pid})
        self.go_on()

    def go_on(self) -> None:
        """From a start that worked, or from the end of the first process, to the end."""
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
        self.network = networking.connect(self.request, self._networks, self.own)
        self._answer_names()
        logs = self.request.options.logs
        if logs.driver != "none":
            self.serving.log = LogFile(self.paths.log, size=logs.size, files=logs.files)
        self.serving.listen(frames.listen(self.paths.bundle, ATTACH_SOCKET))
        if self.runtime.forks or self._is_checked():
            listener = exec_channel.listen(self.paths.bundle, EXEC_SOCKET)
            joined = Joined(self.request.runtime_root, self.request.container_id, self.request.process.env)
            self.serving.execs = Execs(self.serving.loop, joined, listener, is_closed=self._takes_nobody_in())

    def _start(self) -> None:
        assert self.network is not None
        if self.restarts and self.request.borrowed:
            from estiba.engine.monitor.lenders import found_again

            self.request = found_again(self.request, self.containers)
        options = self.request.options
        self.serving.status = None
        streams = self.serving.new_streams(tty=options.tty, interactive=options.interactive)
        try:
            self.run = container.begin(
                self.request, self.paths, self.network, self.runtime, streams, rootfs=self.rootfs, own=self.own
            )
        except BaseException:
            streams.close()
            self.serving.streams = None
            raise
        self.serving.pid = self.run.pid
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
        streams.started()
        self._check_health()

    def _is_checked(self) -> bool:
        health = self.request.options.health
        if not health.test:
            return False
        from estiba.engine.health import command

        return bool(command(health))

    def _check_health(self) -> None:
        """Look from time to time whether the container is well, if somebody has said how."""
        health, execs = self.request.options.health, self.serving.execs
        self.kill_at, self.restart_wanted = None, False
        if not health.test:
            return
        from estiba.engine.health import command
        from estiba.engine.health_file import forget
        from estiba.engine.monitor.health import Checks

        forget(self.paths.last_health)
        if execs is None or not command(health):
            return
        by_runtime = None
        if execs.is_closed:
            from estiba.engine.monitor.joining_by_runtime import ByRuntime

            by_runtime = ByRuntime(self.runtime, self.paths.bundle)
        self.checks = Checks(
            self.serving.loop,
            execs,
            health,
            by_runtime=by_runtime,
            path=self.paths.health,
            is_paused=self._is_paused,
            tell=self.serving.tell,
            on_change=self._is_now,
        )

    def _is_paused(self) -> bool:
        return self.runtime.state(self.request.container_id).status == "paused"

    def _is_now(self, status: str) -> None:
        """The container has become healthy or unhealthy: do what is to be done."""
        action = self.request.options.health.on_failure
        if status != "unhealthy" or action == "none" or self.checks is None:
            return
        self.checks.end()
        if action == "kill":
            self.serving.signal(parse_signal("KILL"))
            return
        if action == "stop":
            self.serving.stop_wanted = True
            self.containers.want_stop(self.request.container_id, True)
        self.restart_wanted = action == "restart"
        given = self.request.options.stop_timeout
        patience = STOP_TIMEOUT if given is None else given
        self.kill_at = time.monotonic() + patience if patience >= 0 else None
        self.serving.signal(parse_signal(self.request.process.stop_signal))

    def _serve(self) -> None:
        """Until the container has ended and is not to start again."""
        while True:
            self._ended(self._await_end())
            self._take_updates()
            lived = time.time() - self.started
            ended = Ended(self.exit_code, lived, self.serving.stop_wanted or self._was_stopped())
            policy = self.request.options.restart
            if self.restart_wanted:  # an unhealthy one has failed, however it ended; a limit of its policy holds
                policy, ended = (
                    RestartPolicy("on-failure", policy.maximum),
                    ended._replace(exit_code=ended.exit_code or 1),
                )
            decision = decide(policy, ended, restarts=self.restarts, last_delay=self.delay)
            if decision.delay is None or not self._restart(decision.delay):
                return

    def _take_updates(self) -> None:
        """What `update` and `rename` have changed holds for the next start, and decides whether there is one."""
        record = self.containers.get(self.request.container_id)
        if record is not None:
            self.request = self.request._replace(options=record.parsed_options(), name=record.name)

    def _await_end(self) -> int:
        """How the first process has ended. After a while another program of this process goes on in our place."""
        serving = self.serving
        patience = self.request.settle_after or settling.AFTER
        deadline: float | None = time.monotonic() + patience
        while serving.status is None:
            serving.loop.turn(self._next(deadline))
            self._keep_watch()
            if deadline is not None and time.monotonic() >= deadline and serving.status is None:
                deadline = time.monotonic() + patience
                if self.checks is not None:
                    deadline = None  # for good: what looks after its health is in this very program
                    continue
                if serving.state() is None:  # something is on its way
                    continue
                rest = self.packed()
                if rest is None:
                    deadline = None
                else:
                    settling.execute(serving, rest)
        return serving.status

    def _next(self, deadline: float | None) -> float | None:
        """When the next thing is to be done that nobody asks for."""
        times = (deadline, self.kill_at, None if self.checks is None else self.checks.deadline)
        return min((one for one in times if one is not None), default=None)

    def _keep_watch(self) -> None:
        if self.checks is not None:
            self.checks.look()
        if self.kill_at is not None and time.monotonic() >= self.kill_at:
            self.kill_at = None
            self.serving.signal(parse_signal("KILL"))

    def _takes_nobody_in(self) -> bool:
        return not self.runtime.forks or self._may_be_looked_into()

    def _may_be_looked_into(self) -> bool:
        """Whether the container may trace who joins it, and so read what this program has in its memory: pages of the
        database, where other containers have rows too. The lean program has none."""
        security = self.request.options.security
        return not security.privileged and "CAP_SYS_PTRACE" in capabilities(security)

    def packed(self) -> bytes | None:
        """All this for the program after the next one; None where it cannot be packed."""
        if self.checks is not None or not is_as_loaded():
            return None
        return settling.packed({k: v for k, v in self.__dict__.items() if k not in _OF_THE_PROGRAM})

    def _restart(self, delay: float) -> bool:
        """Wait, and start again; False when somebody stopped the container meanwhile, or it cannot start."""
        self.delay = delay
        self.containers.set_state(
            self.request.container_id, RESTARTING, pid=0, exit_code=self.exit_code, finished=time.time()
        )
        self.serving.tell("die", {"exitCode": str(self.exit_code)})
        deadline = time.monotonic() + delay
        while time.monotonic() < deadline and not self.serving.stop_wanted:
            self.serving.loop.turn(deadline)
        if self.serving.stop_wanted:
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
        self.serving.tell("start", {})
        return True

    def _ended(self, status: int) -> None:
        """The first process is gone: take its last words, and let the runtime forget it."""
        streams = self.serving.streams
        assert streams is not None and self.run is not None
        if self.checks is not None:
            self.checks.end()
            self.checks.note_last(self.paths.last_health)
            self.checks = None
        self.exit_code = exit_status(status)
        self.oom_killed = self.run.oom.has_happened()
        container.end(self.request, self.runtime)
        self.serving.reap()
        if self.network is not None and self.network.user is not None:
            self.network.user.end()
        streams.drain()
        streams.close()
        self.serving.log.end()
        self.serving.streams = self.run = None
        self.serving.pid = 0

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
        self.serving.accept()  # those who came while we were busy
        ended = {"exit_code": self.exit_code, "oom_killed": self.oom_killed}
        for client in list(self.serving.clients):
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
        self._tell_starter(frames.FAILED, answer)
        self._say_goodbye()

    def _release(self) -> None:
        """Give back all that the container had, but the place where others reach us."""
        self.serving.log.close()
        if self.serving.names is not None:
            self.serving.names.close()
            self.serving.names = None
        if self.network is not None:
            if self.network.user is not None:
                self.network.user.end()
            if self.network.descriptor >= 0:
                self.links = networking.give_back(self._networks(), self.request.container_id)
                os.close(self.network.descriptor)
            self.network = None
        if os.path.isdir(self.paths.rootfs):
            files.unmount_rootfs(self.paths)
        if self.own is not None:
            self.own.close()
            self.own = None

    def _say_goodbye(self) -> None:
        """Answer for the container no more, then stay until everybody has what was meant for them, or is gone."""
        self.serving.close_doors()
        container.remove_bundle(self.paths)
        os.close(self.lock)
        if self.links:
            networking.unplug(self._networks(), self.links)
        self.serving.say_goodbye()

    def change_networks(self, client: Client, kind: int, order: Any) -> None:
        """Put the running container into one more network, or take it out of one; tell `client` what came of it."""
        try:
            if self.network is None or self.run is None:
                raise Conflict("the container is not running", remedy="Try again when it runs.")
            self._take_updates()
            if kind == frames.CONNECT:
                self._join(self.network, order)
            else:
                self._leave(self.network, order)
            self._answer_names()
        except (EstibaError, OSError) as error:
            remedy = error.remedy if isinstance(error, EstibaError) else ""
            client.send(frames.REFUSED, {"message": _sentence(error), "remedy": remedy})
            return
        client.send(frames.DONE)

    def _join(self, network: networking.Network, membership: Membership) -> None:
        self.request.options.joined(membership)  # may it?
        joined = networking.join(self.request, network, self._networks(), membership)
        try:
            self._note(joined, lambda options: options.joined(membership))
        except EstibaError:
            networking.leave(self.request, joined, self._networks(), membership.network)
            raise

    def _leave(self, network: networking.Network, name: str) -> None:
        self.request.options.left(name)  # is it there?
        self._note(networking.leave(self.request, network, self._networks(), name), lambda options: options.left(name))

    def _note(self, network: networking.Network, change: Callable[[ContainerOptions], ContainerOptions]) -> None:
        options = self.containers.change_options(self.request.container_id, change)
        self.request = self.request._replace(options=options)
        self.network = network
        self.containers.set_network(self.request.container_id, network.networking)

    def _answer_names(self) -> None:
        """From the first network on in which containers have names."""
        serving = self.serving
        if serving.names is not None or self.network is None or not self.network.has_names:
            return
        serving.names = networking.name_server(serving.loop, self.request, self.network, self._networks())
        serving.may_be_looked_into = self._may_be_looked_into()
        if self.run is not None:
            files.write_resolv_conf(self.request, self.paths, answers_names=True)

    def _tell_starter(self, kind: int, content: object) -> None:
        if self.serving.starter is not None:
            self.serving.starter.send(kind, content)

    def _networks(self) -> Networks:
        if self.networks is None:
            from estiba.networks.networks import Networks  # what it loads is of no use to one without a network

            self.networks = Networks(root=self.request.root, run=self.request.run)
        return self.networks

    def _was_stopped(self) -> bool:
        record = self.containers.get(self.request.container_id)
        return record is None or record.stop_wanted


def opened(packed: bytes, serving: Serving) -> Life:
    """The life that another program has packed, with what this one serves with."""
    import _pickle

    life = Life.__new__(Life)
    life.serving = serving
    life._containers = life._runtime = None
    life.__dict__.update(_pickle.loads(packed))
    if serving.execs is not None:  # open while there was nothing here but the lean program
        serving.execs.is_closed = life._takes_nobody_in()
    return life


def _sentence(error: EstibaError | OSError) -> str:
    return error.message if isinstance(error, EstibaError) else str(error)
