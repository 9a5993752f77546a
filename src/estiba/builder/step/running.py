"""RUN, done in a step's process: a container on the filesystem that it has raised."""

from __future__ import annotations

import json
import os
import signal
import stat
from typing import TYPE_CHECKING, NamedTuple

from estiba.builder.step import memory, traces
from estiba.builder.step.job import Job, Outcome, RunAction, StepMount
from estiba.builder.step.places import raise_mapped, raise_place
from estiba.builder.step.users import user_in
from estiba.errors import InvalidInput, NotFound, Unavailable
from estiba.linux import mounts
from estiba.linux.mounts import Mount
from estiba.linux.namespaces import CLONE_NEWNET, has_root, unshare
from estiba.linux.overlay import join_lowers
from estiba.linux.own_ids import HOST_REMEDY, OwnIds, host_id, inside_id
from estiba.linux.paths import resolved_in_root
from estiba.linux.processes import become_subreaper
from estiba.networks.resolver import hosts
from estiba.runtime.client import RuntimeClient, RuntimeFailed
from estiba.runtime.spec import IdMapping, Resources, SpecMount, SpecOptions, container_spec

if TYPE_CHECKING:
    from estiba.networks.networks import Networks
    from estiba.networks.usermode import UserNetwork

PIDS = 2048
"""The most processes that a step may have, as a container by default: a fork bomb ends the step, not the machine."""

_HOSTNAME = "buildkitsandbox"  # what Dockerfiles know from other builders; it must not differ between machines


class _Joined(NamedTuple):
    """The network of a step: what the spec says of it, the address of the step, and where it is to be taken out."""

    spec: str
    address: str = ""
    networks: Networks | None = None
    user: UserNetwork | None = None


def run(job: Job, action: RunAction) -> Outcome:
    """Raise the step's filesystem and run the command in it to its end, with its output on ours.

    Raises:
        NotFound: the user is not in the image, or a mount's source is missing. RuntimeFailed: it could not begin.
        Unavailable: there are no ids for it.
    """
    own = _own_ids(action) if action.own_ids else None
    try:
        place = f"{job.directory}/rootfs"
        root = raise_place(job.root, place) if own is None else raise_mapped(job.root, place, own)
        return _run(job, action, root, own)
    finally:
        if own is not None:
            own.close()


def _own_ids(action: RunAction) -> OwnIds:
    if not action.runtime_is_ours:
        raise Unavailable("--userns=auto takes Estiba's own runtime", remedy=f"Leave --runtime out. {HOST_REMEDY}")
    if not has_root():
        raise Unavailable("--userns=auto takes root: an ordinary user's steps share its ids", remedy=HOST_REMEDY)
    return OwnIds.take(action.own_ids, network=action.network not in ("host", "none"))


def _run(job: Job, action: RunAction, root: str, own: OwnIds | None) -> Outcome:
    runtime = RuntimeClient(action.runtime, action.runtime_root, is_ours=action.runtime_is_ours)
    user = user_in(root, action.user)
    if own is not None:
        own.check(user.uid, (user.gid, *user.additional_gids))
    prepared = (_ready(job, number, each, own) for number, each in enumerate(action.mounts))
    spec_mounts = [*_own_files(job, action), *prepared]
    joined = _join(job, action, own)
    try:
        _write(f"{job.directory}/hosts", hosts(hostname=_HOSTNAME, address=joined.address) + _extra(action))
        options = SpecOptions(
            args=action.arguments,
            rootfs=root,
            env=_environment(action.env, user.home),
            cwd=action.working_dir,
            uid=user.uid,
            gid=user.gid,
            additional_gids=user.additional_gids,
            hostname=_HOSTNAME,
            mounts=tuple(spec_mounts),
            privileged=action.privileged,
            terminal=action.terminal,
            network=joined.spec,
            uts="host" if joined.spec == "host" else "new",
            architecture=_architecture(),
            cgroups_path=f"/estiba/{action.container_id}",
            resources=Resources(pids=PIDS) if has_root() else Resources(),
            shares_user_namespace=not has_root(),
        )
        if own is not None:
            users, groups = (tuple(IdMapping(*row) for row in rows) for rows in (own.users, own.groups))
            options = options._replace(uid_mappings=users, gid_mappings=groups, user_namespace=own.path)
        if options.uts == "host":
            options = options._replace(hostname="")
        return _contain(job, action, runtime, container_spec(options), root, own)
    finally:
        if joined.networks is not None:
            joined.networks.detach(action.container_id)
        if joined.user is not None:
            joined.user.end()


def _contain(
    job: Job, action: RunAction, runtime: RuntimeClient, spec: dict[str, object], root: str, own: OwnIds | None
) -> Outcome:
    _write(f"{job.directory}/config.json", json.dumps(spec))
    destinations = [str(each["destination"]) for each in spec["mounts"]]  # type: ignore[attr-defined]
    found = traces.before(root, [*destinations, action.working_dir, "/dev"])
    become_subreaper()
    killed = memory.kills()
    try:
        status = runtime.run(action.container_id, bundle=job.directory, stdin=0, stdout=1, stderr=2)
    except RuntimeFailed as error:
        if error.exit_code == 125:
            raise
        os.write(2, f"{error.message}\n".encode())
        status = error.exit_code
    except BaseException:
        _end_children()  # a runtime that is just making the container would go on with it
        runtime.delete(action.container_id, force=True)
        raise
    if status:
        # Perhaps the runtime itself was killed, and the container still runs.
        runtime.delete(action.container_id, force=True)
        return Outcome(exit_code=status, note=memory.note() if memory.kills() > killed else "")
    traces.tidy(root, found._replace(missing=tuple(p for p in found.missing if f"/{p}" != action.working_dir)))
    if job.root.mounts:
        mounts.unmount(root, detach=True)
        if job.root.mounts[-1].type == "overlay":
            traces.forget_parents(job.writable, found if own is None else _on_disk(found, own))
    return Outcome()


def _on_disk(found: traces.Traces, own: OwnIds) -> traces.Traces:
    """The owners that are seen through the mapped mounts, as they are on disk."""
    parents = {
        path: (mode, inside_id(uid, own.users) or 0, inside_id(gid, own.groups) or 0)
        for path, (mode, uid, gid) in found.parents.items()
    }
    return found._replace(parents=parents)


def _end_children() -> None:
    """Kill the processes that this one has started, and those that were left to it, and wait for them."""
    while children := _children():
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for pid in children:
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                continue


def _children() -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == os.getpid():
                found.append(int(name))
    return found


def _own_files(job: Job, action: RunAction) -> list[SpecMount]:
    """resolv.conf, hosts and the files that stand in the Dockerfile itself."""
    _write(f"{job.directory}/resolv.conf", action.resolv_conf)
    found = [
        SpecMount("/etc/resolv.conf", "bind", f"{job.directory}/resolv.conf", ("bind", "ro")),
        SpecMount("/etc/hosts", "bind", f"{job.directory}/hosts", ("bind", "ro")),
    ]
    if action.files:
        directory = f"{job.directory}/pipes"
        os.mkdir(directory, 0o755)
        for name, data, mode in action.files:
            _write(f"{directory}/{name}", data, mode | 0o111)
        found.append(SpecMount("/dev/pipes", "bind", directory, ("bind", "ro")))
    return found


def _ready(job: Job, number: int, mount: StepMount, own: OwnIds | None) -> SpecMount:
    """Prepare what a ``--mount`` shows."""
    if mount.kind == "tmpfs":
        size = (f"size={mount.size}",) if mount.size else ()
        return SpecMount(mount.target, "tmpfs", "tmpfs", ("nosuid", "nodev", *size))
    if mount.kind == "secret":
        return SpecMount(
            mount.target, "bind", _secret(job, number, mount, own), ("bind", "ro", "nosuid", "nodev", "noexec")
        )
    if mount.items:
        selected = _selected(job, number, mount)
        if own is not None:
            _give(selected, own)
        return SpecMount(mount.target, "bind", selected, ("bind", "ro") if mount.read_only else ("bind",))
    place = f"{job.directory}/mount{number}"
    tree = raise_place(mount.source, place) if own is None else raise_mapped(mount.source, place, own)
    if mount.kind == "cache":
        options: tuple[str, ...] = ("bind", "ro") if mount.read_only else ("bind",)
        return SpecMount(mount.target, "bind", tree, (*options, "nosuid", "nodev"))
    source = _inside(tree, mount)
    if mount.read_only:
        return SpecMount(mount.target, "bind", source, ("rbind", "ro"))
    return SpecMount(mount.target, "bind", _writable_copy(job, number, source, own), ("bind",))


def _give(path: str, own: OwnIds) -> None:
    """Let a copy of ours, all of which is root's, belong to the root of `own`."""
    os.lchown(path, *own.root)
    for top, directories, files in os.walk(path):
        for name in (*directories, *files):
            os.lchown(f"{top}/{name}", *own.root)


def _selected(job: Job, number: int, mount: StepMount) -> str:
    """A copy of what of the context may be seen; what is written to it is dropped with it.

    A link is refused: on the way into the container it would be followed on the host, wherever it leads.
    """
    from estiba.builder.context.tree import SourceTree
    from estiba.builder.step.copying import show

    directory = f"{job.directory}/selected{number}"
    os.mkdir(directory, 0o755)
    tree = SourceTree(mount.source.directory, label="the build context")
    try:
        path = show(tree, mount.items[0], directory, epoch=job.epoch)
    finally:
        tree.close()
    if not stat.S_ISREG(os.lstat(path).st_mode) and not stat.S_ISDIR(os.lstat(path).st_mode):
        raise InvalidInput(
            f"--mount target={mount.target}: {mount.items[0].source!r} of the build context is neither a file nor a"
            " directory",
            remedy="Of a link, name the target itself.",
        )
    return path


def _inside(tree: str, mount: StepMount) -> str:
    """The place `mount.path` in `tree`, its links resolved inside of it."""
    try:
        return resolved_in_root(tree, mount.path)
    except OSError:
        raise NotFound(f"--mount target={mount.target}: there is no {mount.path!r} in its source") from None


def _writable_copy(job: Job, number: int, source: str, own: OwnIds | None) -> str:
    """What is written to a ``rw`` bind mount is dropped after the step, so it goes to an overlay on memory."""
    if not stat.S_ISDIR(os.stat(source).st_mode):
        raise InvalidInput("--mount=type=bind,rw needs a directory as its source")
    memory, merged = f"{job.directory}/memory{number}", f"{job.directory}/merged{number}"
    os.mkdir(memory, 0o700)
    os.mkdir(merged, 0o700)
    mounts.mount(Mount("tmpfs", "tmpfs", "", ("mode=700",)), memory)
    os.mkdir(f"{memory}/upper")
    os.mkdir(f"{memory}/work")
    # The names in `source` are whatever the image says: a colon in them separates nothing.
    options: tuple[str, ...] = (
        f"lowerdir={join_lowers([source])}",
        f"upperdir={memory}/upper",
        f"workdir={memory}/work",
    )
    if not has_root():
        options = (*options, "userxattr")
    overlay = Mount("overlay", "overlay", "", options)
    if own is None:
        mounts.mount(overlay, merged)
        return merged
    for name in ("upper", "work"):
        os.chown(f"{memory}/{name}", *own.root)
    own.stack((overlay,), merged)
    return merged


def _secret(job: Job, number: int, mount: StepMount, own: OwnIds | None) -> str:
    """A secret's file on memory of this process's own mount namespace: it never reaches a disk."""
    directory = f"{job.directory}/secret{number}"
    os.mkdir(directory, 0o700)
    mounts.mount(Mount("tmpfs", "tmpfs", "", ("mode=700", "nosuid", "nodev", "noexec")), directory)
    path = f"{directory}/secret"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, mount.data.encode("latin-1"))
        if own is None:
            os.fchown(descriptor, mount.uid, mount.gid)
        else:
            own.check(mount.uid, (mount.gid,))
            os.fchown(descriptor, host_id(mount.uid, own.users) or 0, host_id(mount.gid, own.groups) or 0)
        os.fchmod(descriptor, 0o400 if mount.mode is None else mount.mode)
    finally:
        os.close(descriptor)
    return path


def _join(job: Job, action: RunAction, own: OwnIds | None) -> _Joined:
    if action.network == "host":
        return _Joined("host")
    if action.network == "none":
        return _Joined("new")
    if not has_root():
        return _join_as_user(job)
    from estiba.networks.networks import Networks

    networks = Networks(root=action.networks_root, run=action.networks_run)
    if own is None:
        descriptor = networks.new_namespace()
    else:
        descriptor = own.network
        networks.prepare_namespace(descriptor)
    endpoint = networks.attach(descriptor, key=action.container_id, hostname=_HOSTNAME)
    return _Joined(f"path:/proc/{os.getpid()}/fd/{descriptor}", endpoint.address, networks)


def _join_as_user(job: Job) -> _Joined:
    """A namespace that pasta or slirp4netns connects, for an ordinary user."""
    from estiba.networks import usermode

    try:
        place = usermode.find()
    except (NotFound, Unavailable) as error:
        raise Unavailable(
            f"the network bridge takes root, and {error.message}",
            remedy=f"{error.remedy} Or build with --network host.",
        ) from error
    become_subreaper()  # pasta is then our child
    user = usermode.UserNetwork(place, ports=(), directory=job.directory)
    namespace = f"/proc/{os.getpid()}/fd/{_new_network_namespace()}"
    user.begin(namespace)
    _write(f"{job.directory}/resolv.conf", f"nameserver {place.name_server}\n")
    return _Joined(f"path:{namespace}", place.address, user=user)


def _new_network_namespace() -> int:
    """A descriptor of a new network namespace, which a child makes: who has left the host's may not come back to it."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    holding, releasing = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            os.close(releasing)
            unshare(CLONE_NEWNET)
            os.write(writing, b"m")
            os.read(holding, 1)
        finally:
            os._exit(0)
    os.close(writing)
    os.close(holding)
    try:
        if not os.read(reading, 1):
            raise Unavailable("a network namespace cannot be made", remedy="Run `estiba doctor` to see why.")
        return os.open(f"/proc/{child}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(reading)
        os.close(releasing)
        os.waitpid(child, 0)


def _environment(env: tuple[str, ...], home: str) -> tuple[str, ...]:
    has_home = any(each.startswith("HOME=") for each in env)
    return env if has_home else (*env, f"HOME={home}")


def _extra(action: RunAction) -> str:
    return "".join(f"{address}\t{name}\n" for name, _, address in (each.partition(":") for each in action.extra_hosts))


def _architecture() -> str:
    from estiba.oci.platform import Platform

    return Platform.of_machine(os.uname().machine).architecture


def _write(path: str, text: str, mode: int = 0o644) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, mode)
        view = memoryview(text.encode("utf-8", "surrogateescape"))
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)
