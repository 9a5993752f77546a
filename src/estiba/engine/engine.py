"""The front door to containers: create, start, attach, wait, stop, kill, remove, list; volumes beside it.

Any number of processes may use the same store at the same time: the database says how a container is, its lock says who
answers for it, its monitor acts.
"""

from __future__ import annotations

import os
import time

from estiba.engine import frames, lifecycle, recovery
from estiba.engine.locks import Lock, wait_for_lock
from estiba.engine.names import checked_name
from estiba.engine.paths import ATTACH_SOCKET, ContainerPaths, volume_data
from estiba.engine.records import Containers, NoSuchContainer
from estiba.engine.restart_policy import STOP_TIMEOUT
from estiba.errors import Conflict, InvalidInput, NotFound, Unavailable
from estiba.linux.signals import parse_signal
from estiba.oci import json_text
from estiba.values import TYPE_CHECKING

# What only starting a container needs is imported where it is used: `ps` and its like are to answer at once.
if TYPE_CHECKING:
    from collections.abc import Callable

    from estiba.engine.launch import PendingMonitor
    from estiba.engine.monitor.request import Borrowed, StartRequest, VolumePlace
    from estiba.engine.options import ContainerOptions
    from estiba.engine.records import ContainerRecord
    from estiba.engine.userns import Users
    from estiba.engine.volumes import Volumes
    from estiba.networks.networks import Networks
    from estiba.runtime.client import RuntimeClient
    from estiba.store.images import ImageRecord
    from estiba.store.store import Store

_KILL_PATIENCE = 30.0
_OF = "container:"


class Attachment:
    """What a starter wants of the container: its output, and whether it gives input. `size` is rows and columns."""

    def __init__(self, *, output: bool = True, gives_input: bool = False, size: tuple[int, int] | None = None) -> None:
        self.output = output
        self.gives_input = gives_input
        self.size = size


class Engine:
    """The containers of one store. `run` is the run directory.

    `runtime` (of new containers) and `networks` are asked for when they are first needed. `users` are the ids of new
    containers that ask for none. A removed volume lies in the trash for `volume_trash` seconds, unless another time is
    given. `settle_after` is for how many seconds a monitor has nothing to do before it settles (0: its own choice).
    """

    def __init__(
        self,
        *,
        store: Store,
        run: str,
        runtime: Callable[[], RuntimeClient],
        networks: Callable[[], Networks],
        users: Users | None = None,
        volume_trash: float = 0,
        settle_after: float = 0,
    ) -> None:
        self.store = store
        self.run = run
        self._runtime = runtime
        self._users = users
        self._volume_trash = volume_trash
        self._settle_after = settle_after
        self._networks = networks
        self.containers = Containers(store.database)
        self._volumes: Volumes | None = None
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            self.boot = file.read().strip()

    @property
    def volumes(self) -> Volumes:
        """The volumes of the store."""
        if self._volumes is None:
            from estiba.engine.volumes import Volumes

            self._volumes = Volumes(self.store, self.containers, keep=self._volume_trash)
        return self._volumes

    # One container

    def create(self, options: ContainerOptions, image: ImageRecord) -> ContainerRecord:
        """Make a container without starting it.

        Raises:
            NameTaken, InvalidInput: as `creation.create`.
        """
        record, lock = self._create(options, image, state=lifecycle.CREATED)
        lock.release()
        return record

    def run_new(
        self, options: ContainerOptions, image: ImageRecord, pending: PendingMonitor, attachment: Attachment
    ) -> tuple[ContainerRecord, frames.Connection]:
        """Make a container and start it at once by the monitor `pending`.

        Raises:
            StartFailed: it was made but did not start; with `auto_remove` it is removed again.
        """
        record, lock = self._create(options, image, state=lifecycle.STARTING)
        # Those of the record: what the installation and other containers add is there.
        return record, self._begin(record, record.parsed_options(), lock, pending, attachment)

    def start(self, text: str, attachment: Attachment | None = None) -> frames.Connection | None:
        """Start the container; gives the connection to its monitor, None when it runs already.

        Raises:
            NoSuchContainer, WrongState. StartFailed: it did not start.
        """
        from estiba.engine.launch import PendingMonitor

        with PendingMonitor(self.run) as pending:
            record = self.find(text)
            if not lifecycle.must_act("start", record.state, name=record.name):
                return None
            lock = wait_for_lock(self.paths(record.id).lock)
            current = self.containers.get(record.id)
            if current is None:
                lock.release()
                raise NoSuchContainer(text)
            if not lifecycle.must_act("start", current.state, name=current.name):
                lock.release()
                return None
            recovery.clear_remains(self, current)
            self.containers.set_state(
                current.id, lifecycle.STARTING, run=self.run, boot=self.boot, stop_wanted=False, restarts=0
            )
            return self._begin(
                current, current.parsed_options(), lock, pending, attachment or Attachment(output=False), detached=True
            )

    def attach(self, record: ContainerRecord, *, gives_input: bool) -> frames.Connection:
        """A connection that gets the container's output from now on.

        Raises:
            WrongState: it does not run.
        """
        lifecycle.must_act("attach", record.state, name=record.name)
        connection = self.connect(record)
        try:
            connection.send(frames.ATTACH, {"input": gives_input})
        except BaseException:
            connection.close()
            raise
        return connection

    def wait(self, text: str) -> int:
        """Wait until the container ends, be it that it starts again by its policy, and give its exit code.

        Raises:
            NoSuchContainer.
        """
        record = self.find(text)
        if record.state not in lifecycle.HAS_MONITOR:
            return record.exit_code
        try:
            with self.connect(record) as connection:
                connection.send(frames.WAIT, {"past": False})
                return _wait_for_end(connection)
        except frames.MonitorGone:
            return self._settled(record).exit_code

    def stop(self, text: str, *, timeout: float | None = None, signal: str = "") -> bool:
        """Ask the container to end, and kill it after `timeout` seconds; False when it did not run.

        Raises:
            NoSuchContainer, WrongState. InvalidInput: there is no such signal.
        """
        record = self.find(text)
        if not lifecycle.must_act("stop", record.state, name=record.name):
            return False
        options = record.parsed_options()
        number = parse_signal(signal or record.parsed_process().stop_signal)
        if timeout is None:
            timeout = STOP_TIMEOUT if options.stop_timeout is None else options.stop_timeout
        self.containers.want_stop(record.id, True)
        try:
            with self.connect(record) as connection:
                connection.send(frames.STOP, number)
                self._let_hear(record)
                if timeout < 0:
                    _wait_for_end(connection)
                    return True
                if not _ends_within(connection, timeout):
                    connection.send(frames.STOP, parse_signal("KILL"))
                    if not _ends_within(connection, _KILL_PATIENCE):
                        raise Unavailable(
                            f"container {record.name} did not end after SIGKILL",
                            remedy="A process that waits for a disk or a network file ends when that answers.",
                        )
        except frames.MonitorGone:
            self._settle(record)
        return True

    def kill(self, text: str, *, signal: str = "KILL") -> None:
        """Send the container a signal. SIGKILL counts as a stop: it is not restarted.

        Raises:
            NoSuchContainer, WrongState. InvalidInput: there is no such signal.
        """
        number = parse_signal(signal)
        record = self.find(text)
        lifecycle.must_act("kill", record.state, name=record.name)
        stops = number in (parse_signal("KILL"), parse_signal(record.parsed_process().stop_signal))
        if stops:
            self.containers.want_stop(record.id, True)
        try:
            with self.connect(record) as connection:
                connection.send(frames.STOP if stops else frames.SIGNAL, number)
                while connection.receive().kind != frames.DONE:
                    pass
                if stops:
                    self._let_hear(record)
                if number == parse_signal("KILL"):
                    _ends_within(connection, _KILL_PATIENCE)
        except frames.MonitorGone:
            self._settle(record)

    def remove(
        self, text: str, *, force: bool = False, volumes: bool = False, keep: float | None = None
    ) -> ContainerRecord:
        """Remove the container; `force` kills it first, `volumes` removes its anonymous volumes too, which lie in the
        trash for `keep` seconds (None: as long as is usual here).

        Raises:
            NoSuchContainer. WrongState: it runs, and `force` was not given.
        """
        from estiba.engine.removal import remove_container

        record = self.find(text)
        if force and record.state in lifecycle.HAS_MONITOR:
            self.kill(record.id)
            left = self.containers.get(record.id)
            if left is None:
                return record
            record = left
        if record.state in lifecycle.HAS_MONITOR:
            lifecycle.must_act("remove", record.state, name=record.name)
        paths = self.paths(record.id)
        try:
            lock = wait_for_lock(paths.lock)
        except NotFound:
            lock = Lock(-1)
        with lock:
            current = self.containers.get(record.id)
            if current is None:
                return record
            lifecycle.must_act("remove", current.state, name=current.name)
            recovery.clear_remains(self, current)
            keep = self._volume_trash if keep is None else keep
            remove_container(self.store, self.containers, self.volumes, paths, anonymous_volumes=volumes, keep=keep)
        return record

    def rename(self, text: str, name: str) -> None:
        """Give the container another name.

        Raises:
            NoSuchContainer, NameTaken. InvalidInput: no name.
        """
        record = self.find(text)
        self.containers.rename(record.id, checked_name(name))
        if record.state in lifecycle.HAS_MONITOR and record.network:
            self.networks_at(record.run or self.run).rename(record.id, name)

    # Looking

    def find(self, text: str) -> ContainerRecord:
        """The container `text` (name, id, or the beginning of one), as it really is.

        Raises:
            NoSuchContainer. InvalidInput: several ids begin so.
        """
        found = self.fresh(self.containers.find(text))
        if found is None:
            raise NoSuchContainer(text)
        return found

    def all(self) -> list[ContainerRecord]:
        """Every container as it really is, the newest first."""
        return [found for record in self.containers.all() if (found := self.fresh(record)) is not None]

    def fresh(self, record: ContainerRecord) -> ContainerRecord | None:
        """The record, put right if the container's monitor was killed; None when the container is gone."""
        if not recovery.is_abandoned(record, self.paths(record.id)):
            return record
        try:
            return recovery.recover(self, record)
        except NoSuchContainer:
            return None  # its monitor lives after all, and had only the row left to remove

    def _let_hear(self, record: ContainerRecord) -> None:
        """A paused container gets a signal when it goes on."""
        if record.state == lifecycle.PAUSED:
            from estiba.engine.pausing import go_on

            go_on(self, record)

    def _settle(self, record: ContainerRecord) -> None:
        """Its monitor does not answer: wait until it has finished, or clean up after it."""
        try:
            self._settled(record)
        except NoSuchContainer:
            pass

    def _settled(self, record: ContainerRecord) -> ContainerRecord:
        deadline = time.monotonic() + _KILL_PATIENCE
        while True:
            current = self.containers.get(record.id)
            current = self.fresh(current) if current else None
            if current is None:
                raise NoSuchContainer(record.name)
            if current.state not in lifecycle.HAS_MONITOR:
                return current
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"the monitor of container {record.name} does not answer",
                    remedy=f"Find it with: fuser -v {self.paths(record.id).lock}",
                )
            time.sleep(0.005)

    def paths(self, container_id: str) -> ContainerPaths:
        return ContainerPaths(self.store.paths.root, self.run, container_id)

    def connect(self, record: ContainerRecord) -> frames.Connection:
        """A connection to the container's monitor.

        Raises:
            MonitorGone: none answers.
        """
        paths = ContainerPaths(self.store.paths.root, record.run or self.run, record.id)
        deadline = time.monotonic() + 5
        while True:
            try:
                return frames.connect(paths.bundle, ATTACH_SOCKET)
            except frames.MonitorGone:
                # Just being started: it listens in a moment.
                now = self.containers.get(record.id)
                if now is None or now.state != lifecycle.STARTING or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)

    def runtime_of(self, record: ContainerRecord) -> RuntimeClient:
        """The runtime that the container was made for."""
        from estiba.runtime.client import RuntimeClient

        root = f"{record.run or self.run}/runtime"
        if not record.runtime:
            return RuntimeClient.ours(root=root)
        return RuntimeClient(tuple(json_text.loads(record.runtime, what="the runtime of a container's record")), root)

    def networks_at(self, run: str) -> Networks:
        """The networks of the run directory `run`."""
        if run == self.run:
            return self._networks()
        from estiba.networks.networks import Networks

        return Networks(root=self.store.paths.root, run=run)

    # Steps

    def _create(self, options: ContainerOptions, image: ImageRecord, *, state: str) -> tuple[ContainerRecord, Lock]:
        from estiba.engine.creation import create
        from estiba.runtime.client import RuntimeClient

        if self._users is not None and not options.userns:
            options = options.with_users(_default_users(self._users, options))
        if options.volumes_from:
            from estiba.engine.inherited import with_mounts_of_others

            options = with_mounts_of_others(options, find=self.find, volumes_of=self.containers.volumes_of)
        if ":" in options.shared.pid + options.shared.ipc + options.network or options.userns == "container":
            from estiba.engine.inherited import with_ids_of_others

            options = with_ids_of_others(options, find=self.find)
        runtime = self._named_runtime(options.runtime) if options.runtime else self._runtime()
        is_ours = runtime.command == RuntimeClient.ours(root="").command
        return create(
            self.store,
            self.containers,
            self.volumes,
            image=image,
            options=options,
            run=self.run,
            runtime="" if is_ours else json_text.dumps(runtime.command),
            boot=self.boot,
            state=state,
        )

    def _named_runtime(self, name: str) -> RuntimeClient:
        """The runtime that one container asks for."""
        from estiba.runtime.client import RuntimeClient

        root = f"{self.run}/runtime"
        return RuntimeClient.ours(root=root) if name == "estiba" else RuntimeClient.named(name, root=root)

    def _begin(
        self,
        record: ContainerRecord,
        options: ContainerOptions,
        lock: Lock,
        pending: PendingMonitor,
        attachment: Attachment,
        *,
        detached: bool = False,
    ) -> frames.Connection:
        """Hand the container over to its monitor."""
        with lock:
            try:
                request = self._request(record, options, attachment)
            except BaseException:
                back = lifecycle.EXITED if record.started else lifecycle.CREATED
                self.containers.set_state(record.id, back)
                lock.release()
                self._drop_if_unwanted(record, options, keep=detached)
                raise
            try:
                return pending.begin(request, lock)
            except frames.MonitorGone as error:
                lock.release()
                last = _last_line(self.paths(record.id).monitor_log)
                self.fresh(record)
                raise Unavailable(
                    f"the monitor of container {record.name} ended before it was done{last}",
                    remedy=f"See the container with: estiba inspect {record.name}",
                ) from error
            except BaseException:
                lock.release()
                self._drop_if_unwanted(record, options, keep=detached)
                raise

    def _drop_if_unwanted(self, record: ContainerRecord, options: ContainerOptions, *, keep: bool) -> None:
        """A `run --rm` that did not start leaves no container."""
        if options.auto_remove and not keep:
            self.remove(record.id, volumes=True, keep=0)

    def _request(self, record: ContainerRecord, options: ContainerOptions, attachment: Attachment) -> StartRequest:
        from estiba.engine.creation import published_ports
        from estiba.engine.monitor.request import StartRequest
        from estiba.engine.removal import snapshot_key
        from estiba.oci.platform import Platform

        process = record.parsed_process()
        runtime = self.runtime_of(record._replace(run=self.run))
        return StartRequest(
            container_id=record.id,
            name=record.name,
            root=self.store.paths.root,
            run=self.run,
            options=options,
            process=process,
            rootfs=self.store.snapshots.mounts(snapshot_key(record.id)),
            volumes=self._volume_places(record, options),
            runtime=runtime.command,
            runtime_root=runtime.root,
            runtime_is_ours=not record.runtime,
            snapshotter=self.store.snapshots.kind,
            boot=self.boot,
            ports=published_ports(options, process.exposed_ports) if _has_ports(options) else (),
            architecture=Platform.of_machine(os.uname().machine).architecture,
            attach=attachment.output,
            attach_input=attachment.gives_input,
            console_size=attachment.size if options.tty else None,
            borrowed=self._borrowed(options),
            links=self._links(options),
            settle_after=self._settle_after,
        )

    def _volume_places(self, record: ContainerRecord, options: ContainerOptions) -> tuple[VolumePlace, ...]:
        from estiba.engine.monitor.request import VolumePlace

        by_target = {mount.target: mount for mount in options.mounts}
        places = []
        for name, target in self.containers.volumes_of(record.id):
            self.volumes.get(name)
            mount = by_target.get(target)
            fill = not record.started and (mount is None or mount.copy_up)
            source = volume_data(self.store.paths.root, name)
            subpath = mount.subpath if mount is not None else ""
            places.append(VolumePlace(target, source, bool(mount and mount.read_only), fill and not subpath, subpath))
        for mount in options.mounts:
            if mount.kind == "bind":
                _check_source(mount.source, make=mount.make_source)
        return tuple(places)

    def _borrowed(self, options: ContainerOptions) -> tuple[Borrowed, ...]:
        """The namespaces of others that the container is to be in."""
        shared = options.shared
        users = f"{options.userns}:{options.userns_target}"
        choices = (("pid", shared.pid), ("ipc", shared.ipc), ("network", options.network), ("user", users))
        asked = [(kind, text.removeprefix(_OF)) for kind, text in choices if text.startswith(_OF)]
        if not asked:
            return ()
        from estiba.engine.monitor.lenders import not_running
        from estiba.engine.monitor.request import Borrowed

        found = []
        for kind, text in asked:
            other = self.find(text)
            if other.state != lifecycle.RUNNING:
                raise not_running(other.name, kind)
            if kind == "ipc" and other.parsed_options().shared.ipc != "shareable":
                raise Conflict(
                    f"the ipc namespace of container {other.name} is its own",
                    remedy="Start that container with --ipc shareable.",
                )
            found.append(Borrowed(kind, other.pid, other.pid_start, other.name, other.id))
        return tuple(found)

    def _links(self, options: ContainerOptions) -> tuple[tuple[str, str], ...]:
        """The names and addresses of linked containers, as they are now."""
        found: list[tuple[str, str]] = []
        for text, alias in options.links:
            other = self.find(text)
            address = other.parsed_network().address
            if other.state != lifecycle.RUNNING or not address:
                raise Conflict(
                    f"container {other.name} cannot be linked to: it has no address now",
                    remedy="Start it first, in a network with addresses.",
                )
            found += [(name, address) for name in dict.fromkeys((alias, other.name, other.id[:12]))]
        return tuple(found)


def _default_users(users: Users, options: ContainerOptions) -> Users:
    """The installation's choice; who joins the processes or queues of another container has that one's ids."""
    for choice in (options.shared.pid, options.shared.ipc):
        kind, _, name = choice.partition(":")
        if kind == "container" and users.kind != "host":
            return users._replace(kind="container", size=0, uids=(), gids=(), target=name)
    return users


def _last_line(path: str) -> str:
    """What a monitor said at last, for a message."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    return f": {lines[-1]}" if lines else ""


def _has_ports(options: ContainerOptions) -> bool:
    return options.network not in ("host", "none") and not options.network.startswith(_OF)


def _check_source(source: str, *, make: bool) -> None:
    if os.path.exists(source):
        return
    if not make:
        raise InvalidInput(f"bind mount source path does not exist: {source}", remedy="Make it first.")
    os.makedirs(source, exist_ok=True)


def _wait_for_end(connection: frames.Connection) -> int:
    while True:
        frame = connection.receive()
        if frame.kind == frames.ENDED:
            code: int = frame.json()["exit_code"]
            return code
        if frame.kind == frames.NEWS and (told := frame.json())["action"] == "die":
            return int(told["about"]["exitCode"])


def _ends_within(connection: frames.Connection, seconds: float) -> bool:
    """Whether the container ends in time; what else the monitor says is skipped."""
    deadline = time.monotonic() + seconds
    while True:
        if not connection.is_ready(timeout=deadline - time.monotonic()):
            return False
        if any(frame.kind == frames.ENDED for frame in connection.receive_available()):
            return True
