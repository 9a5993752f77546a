"""One run of a container: from its files and its network to a process, and from its end to nothing left of it."""

from __future__ import annotations

import os

from estiba.engine.countable import counts_pids, counts_swap
from estiba.engine.frames import listen
from estiba.engine.monitor import files, init, ordinary_user
from estiba.engine.monitor.oom import OomWatch
from estiba.engine.monitor.streams import Streams
from estiba.engine.options import BlockIo, Shared
from estiba.engine.paths import CONSOLE_SOCKET, ContainerPaths
from estiba.engine.spec import Place, spec_options
from estiba.errors import EstibaError, NotFound, Unavailable
from estiba.linux.namespaces import has_root
from estiba.linux.processes import start_time
from estiba.oci import json_text
from estiba.runtime.client import RuntimeClient
from estiba.runtime.spec import IdMapping, container_spec
from estiba.store.snapshots.trees import remove_tree
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from estiba.engine.monitor.networking import Network
    from estiba.engine.monitor.request import StartRequest
    from estiba.engine.monitor.surroundings import Surroundings
    from estiba.linux.own_ids import OwnIds

_NOTHING_SHARED = Shared()
_ANY_BLOCK_IO = BlockIo()


class Run(NamedTuple):
    """A container's first process; `pid_start` tells it from a later one with the same number."""

    pid: int
    pid_start: int
    oom: OomWatch


def begin(
    request: StartRequest,
    paths: ContainerPaths,
    network: Network,
    runtime: RuntimeClient,
    streams: Streams,
    *,
    rootfs: str,
    own: OwnIds | None,
) -> Run:
    """Write the bundle's `config.json`, let the runtime create and start the container, and give its first process.

    Raises:
        RuntimeFailed: the runtime refused; nothing of the container is left. NotFound: the image has no such user.
    """
    options = request.options
    shows_host = "host" in (options.network, options.shared.uts)
    hostname = options.naming.hostname or (os.uname().nodename if shows_host else request.short_id)
    user = files.find_user(request.process.user, rootfs, groups=options.groups)
    ordinary_user.check_user(user, text=request.process.user)
    users, groups = ordinary_user.mappings()
    if own is not None:
        own.check(user.uid, (user.gid, *user.additional_gids))
        users, groups = (tuple(IdMapping(*row) for row in rows) for rows in (own.users, own.groups))
    files.write_etc(
        request,
        paths,
        hostname=hostname,
        address=network.networking.address,
        gateway=network.networking.gateway,
        name_server=network.user.place.name_server if network.user else "",
        answers_names=network.has_names,
        owner=own.root if own is not None else (-1, -1),
    )
    if options.security.mount_label:
        from estiba.engine.monitor.labelling import label_files

        label_files(request, paths)
    given = _surroundings(request, paths, own)
    if given is not None and own is not None:
        _check_shared(given, own)
    owners = {} if own is None else {"users": users, "groups": groups}
    mounts = files.spec_mounts(request, paths, **owners)
    if given is not None:
        taken = {mount.destination for mount in mounts}
        mounts = (*mounts, *(mount for mount in given.mounts if mount.destination not in taken))
    process = request.process
    if options.init:
        mounts = (*mounts, init.mount())
        process = process._replace(args=init.command(process.args))
    place = Place(
        container_id=request.container_id,
        hostname=hostname,
        uid=user.uid,
        gid=user.gid,
        additional_gids=user.additional_gids,
        home=user.home,
        mounts=mounts,
        network=network.choice,
        foreign=_foreign(network.choice if given is None or not given.network else given.network, own),
        counts_swap=counts_swap(),
        counts_pids=counts_pids(),
        architecture=request.architecture,
        console_size=request.console_size,
        rootfs=rootfs,
        uid_mappings=users,
        gid_mappings=groups,
        user_namespace=own.path if own is not None else "",
        cgroups_path=_group_of_another_runtime(request),
        shares_user_namespace=ordinary_user.is_root_of_own_namespace(),
    )
    try:
        if given is not None:
            place = given.added_to(place)
        document = container_spec(spec_options(process, options, place))
        if not request.runtime_is_ours:
            from estiba.engine import another_runtime

            another_runtime.leave_out_what_nobody_has(document["process"])
        with open(paths.config, "w", encoding="utf-8") as file:
            file.write(json_text.dumps(document))
        return _start(request, paths, network, runtime, streams)
    finally:
        if given is not None:
            given.close()


def _group_of_another_runtime(request: StartRequest) -> str:
    """A place that we know, should the runtime be killed; "" for our own, which keeps a record."""
    if request.runtime_is_ours or request.options.cgroup_parent or not has_root():
        return ""
    return f"/{request.container_id}"


def _surroundings(request: StartRequest, paths: ContainerPaths, own: OwnIds | None) -> Surroundings | None:
    """What else of the machine is asked for; most containers ask for nothing, and load nothing of it."""
    options = request.options
    is_asked = (
        options.devices
        or request.borrowed
        or options.shared != _NOTHING_SHARED
        or options.block_io != _ANY_BLOCK_IO
        or options.security.privileged
        or options.security.seccomp not in ("default", "unconfined")
        or any(place.subpath for place in request.volumes)
    )
    if not is_asked:
        return None
    from estiba.engine.monitor.surroundings import Surroundings

    return Surroundings(request, paths, own)


def _foreign(network: str, own: OwnIds | None) -> tuple[str, ...]:
    """Namespaces over which the container's root has no power, though it is in them: perhaps that of its `network`."""
    choice = network.removeprefix("path:")
    if own is None or choice == "new" or (choice.startswith("/") and own.owns(choice)):
        return ()
    return ("network",)


def _check_shared(given: Surroundings, own: OwnIds) -> None:
    """Raise Unavailable where another container's processes or queues are to be shown to who has no power over them."""
    for flag, choice in (("--pid", given.pid), ("--ipc", given.ipc)):
        if choice and not own.owns(choice.removeprefix("path:")):
            given.close()
            raise Unavailable(
                f"{flag} is of a container that has other ids, whose filesystem cannot be mounted with these",
                remedy="Give --userns=container:NAME as well, or --userns=host where that one has the host's ids.",
            )


def end(request: StartRequest, runtime: RuntimeClient) -> None:
    """Remove what the runtime keeps of a container that has ended, and what still lives in it."""
    try:
        runtime.delete(request.container_id, force=True)
    except NotFound:
        pass


def remove_bundle(paths: ContainerPaths) -> None:
    """Remove the container's directory below RUN."""
    remove_tree(paths.bundle)


def _start(
    request: StartRequest, paths: ContainerPaths, network: Network, runtime: RuntimeClient, streams: Streams
) -> Run:
    listener = listen(paths.bundle, CONSOLE_SOCKET) if streams.tty else None
    try:
        pid = _create(request, paths, runtime, streams, console_path(paths.bundle) if listener else None)
        try:
            if listener:
                streams.take_terminal(listener)
                if request.console_size:
                    streams.resize(*request.console_size)
            run = Run(pid, start_time(pid) or 0, OomWatch.of(pid))
            if ordinary_user.is_root_of_own_namespace():
                from estiba.linux.user_namespace import note

                note(request.run, pid)
            if network.user is not None:
                network.user.begin(f"/proc/{pid}/ns/net")
            runtime.start(request.container_id)
        except (EstibaError, OSError):
            end(request, runtime)
            raise
    finally:
        if listener:
            listener.close()
            os.unlink(f"{paths.bundle}/{CONSOLE_SOCKET}")
    return run


def _create(
    request: StartRequest, paths: ContainerPaths, runtime: RuntimeClient, streams: Streams, console_socket: str | None
) -> int:
    try:
        return runtime.create(
            request.container_id,
            bundle=paths.bundle,
            pid_file=paths.pid_file,
            console_socket=console_socket,
            stdin=streams.stdin,
            stdout=streams.stdout,
            stderr=streams.stderr,
        )
    except EstibaError:
        if not request.runtime_is_ours:
            from estiba.engine import another_runtime

            another_runtime.clear(runtime, request.container_id, config=paths.config)
        raise


def console_path(directory: str) -> str:
    """A path of at most 107 bytes, the most that a socket's address holds, of the console socket in `directory`."""
    direct = f"{directory}/{CONSOLE_SOCKET}"
    if len(os.fsencode(direct)) < 107:
        return direct
    # Kept open for the life of this process: another one finds the directory by it.
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/{os.getpid()}/fd/{descriptor}/{CONSOLE_SOCKET}"
