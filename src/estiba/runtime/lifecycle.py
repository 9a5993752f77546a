"""Creating and destroying a container: the steps in order, shared by the verbs `create`, `run` and `delete`.

The life cycle (runtime-spec, runtime.md): create -> created -> start -> running (<-> paused) -> stopped -> delete.
"""

from __future__ import annotations

import errno
import os

from estiba.errors import Unavailable
from estiba.linux.cgroups.group import Group, GroupInUse, open_group
from estiba.linux.namespaces import NAMESPACES, has_root, is_own_namespace
from estiba.linux.processes import has_ended, pidfd_open, send_signal, start_time
from estiba.runtime import hooks
from estiba.runtime.bundle import Bundle, joins_mount_namespace
from estiba.runtime.errors import BadBundle, WrongStatus
from estiba.runtime.log import utc_now
from estiba.runtime.process import parent
from estiba.runtime.process.plan import Plan
from estiba.runtime.rootfs import guards, mapped
from estiba.runtime.state import Container, new_container, refuse_taken_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    ScopeOpener = Callable[[str, str, dict[str, str]], Group]  # cgroupsPath, id, annotations

DEFAULT_PARENT = "/estiba"
_SIGKILL = 9
_LAST_WAIT = 10.0  # seconds for a killed process to end


def create(
    root: str,
    container_id: str,
    bundle: Bundle,
    *,
    on_terminal: Callable[[int], None] | None,
    preserve: int = 0,
    no_pivot: bool = False,
    new_keyring: bool = True,
    has_group: bool = True,
    open_scope: ScopeOpener | None = None,
    streams: tuple[int, int, int] | None = None,
) -> Container:
    """Everything up to the point where the program would begin.

    `streams` are the program's standard streams, where they are not our own. `open_scope` plans the control group where
    it is systemd that makes it.

    Raises:
        EstibaError, OSError: nothing of the container is left.
    """
    config = bundle.config
    record: dict[str, Any] = {
        "id": container_id,
        "bundle": bundle.directory,
        "rootfs": bundle.rootfs,
        "annotations": config.get("annotations") or {},
        "created": utc_now(),
        "owner": str(os.getuid()),
    }
    if not config["process"]["args"]:
        record["has_process"] = False
    refuse_taken_id(root, container_id)
    planned = _group_for(container_id, config, open_scope) if has_group else None
    record["cgroup"] = planned.record() if planned is not None else None
    container = new_container(root, container_id, record, bundle.text)
    held = container.lock()
    try:
        if not has_group:
            _check_no_group(config)
        group = _make_group(planned, config) if planned is not None else None
        record["cgroup"] = group.record() if group is not None else None
        plan = _plan(container, bundle, group)
        plan.preserve, plan.no_pivot, plan.new_keyring = preserve, no_pivot, new_keyring
        plan.streams = streams
        if group is not None:
            group.apply(_resources(config))

        def before_pivot(pid: int) -> None:
            record["pid"], record["startTime"] = pid, start_time(pid)
            document = container.document(status="creating")
            devices = (config.get("linux") or {}).get("netDevices")
            if devices:
                from estiba.runtime import net_devices

                net_devices.move_all(devices, pid)
            hooks.run_all(config, "prestart", document)
            hooks.run_all(config, "createRuntime", document)

        parent.bring_up(plan, before_pivot=before_pivot, on_terminal=on_terminal)
        _close(plan)
        record["cgroup"] = group.record() if group is not None else None  # systemd tells only now where it is
        container.save_process()
    except GroupInUse:
        record["cgroup"] = None  # what is in there is somebody else's
        destroy(container, config)
        raise
    except BaseException:
        destroy(container, config)
        raise
    finally:
        os.close(held)
    return container


def destroy(container: Container, config: dict[str, Any] | None = None) -> None:
    """Take away what is left of a container whose first process has ended or may be killed.

    Works from any state that a `kill -9` of the runtime leaves behind, and may be repeated.

    Raises:
        Conflict: a process does not end.
    """
    _end_first_process(container)
    group = container.group
    if group is not None:
        try:
            if group.processes():
                group.signal_all(_SIGKILL)
        except FileNotFoundError:
            pass
        group.remove()
        _remove_default_parent(group)
    try:
        settings = config if config is not None else container.config()
        hooks.run_all(settings, "poststop", container.document(status="stopped"))
    except (hooks.HookFailed, OSError):
        pass  # the spec: log it and go on (runtime.md, "Lifecycle", 12)
    container.forget()


def begin_locked(container: Container) -> None:
    """As `begin`, while no other verb changes the container."""
    held = container.lock()
    try:
        begin(container)
    finally:
        os.close(held)


def delete_locked(container: Container, *, is_forced: bool) -> None:
    """As `destroy`, where the container's state allows it.

    Raises:
        WrongStatus: it runs, and `is_forced` is not given.
    """
    held = container.lock()
    try:
        status = container.status()
        # A created container has no program yet that would be lost.
        if status not in ("stopped", "created") and not is_forced:
            raise WrongStatus(
                f"cannot delete container {container.id} that is not stopped: {status}",
                remedy="Kill it first, or use delete --force.",
            )
        destroy(container)
    finally:
        os.close(held)


def begin(container: Container) -> None:
    """Let the program of a created container start.

    Raises:
        WrongStatus: it is not waiting for that.
    """
    container.require("created", verb="start")
    if container.record.get("has_process") is False:
        raise BadBundle(f"cannot start container {container.id}: its config.json has no process")
    try:
        descriptor = os.open(container.fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        raise WrongStatus(f"cannot start container {container.id}: its init process has ended") from None
    try:
        os.unlink(container.fifo)
        os.write(descriptor, b"s")
    finally:
        os.close(descriptor)
    config = container.config()
    if config.get("hooks"):
        try:
            hooks.run_all(config, "poststart", container.document(status="running"))
        except hooks.HookFailed:
            _end_first_process(container)  # the spec: generate an error and stop the container
            raise


def _group_for(container_id: str, config: dict[str, Any], open_scope: ScopeOpener | None) -> Group | None:
    """The control group that the container is to have. It is recorded before it is made, so that a `kill -9` of us
    leaves nothing that nobody knows of; and looked at before that, so that no record names somebody else's."""
    path = (config.get("linux") or {}).get("cgroupsPath") or ""
    if open_scope is not None:
        return open_scope(path, container_id, config.get("annotations") or {})
    path = path or container_id
    path = path if path.startswith("/") else f"{DEFAULT_PARENT}/{path}"
    if not has_root():
        from estiba.runtime import ordinary_groups

        found = ordinary_groups.group_for(path, container_id, _resources(config), config.get("annotations") or {})
        if found is None or found.begins_with_process:
            return found
        path = found.path
    group = open_group(path)
    if group.processes():
        raise GroupInUse(group.path)
    return group


def _make_group(group: Group, config: dict[str, Any]) -> Group | None:
    try:
        group.create()
    except OSError as error:
        if has_root() or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        limits = _limits(config)
        if limits:
            raise Unavailable(
                f"limits ({limits}) need a control group, and this user may not make {group.path}",
                remedy="Leave the limits out, or let root run it.",
            ) from None
        return None  # without root and without limits there is nothing to lose
    return group


def _check_no_group(config: dict[str, Any]) -> None:
    """Nothing that only a control group could keep may be asked for where there is to be none."""
    linux = config.get("linux") or {}
    limits = _limits(config)
    rules = (linux.get("resources") or {}).get("devices") or ()
    # In a user namespace no node can be made that leads to a device, so the rules hold without a group.
    if any(not rule.get("allow") for rule in rules) and not linux.get("uidMappings"):
        limits = f"{limits}, devices" if limits else "devices"
    if limits:
        raise BadBundle(f"limits ({limits}) need a control group, and --cgroup-manager disabled asks for none")


def _limits(config: dict[str, Any]) -> str:
    resources = _resources(config)
    return ", ".join(sorted(name for name, value in resources.items() if name != "devices" and _asks(value)))


def _asks(value: Any) -> bool:
    """Whether something of it is more than a zero, which engines write where nobody said anything."""
    if isinstance(value, dict):
        return any(map(_asks, value.values()))
    return bool(value)


def _resources(config: dict[str, Any]) -> dict[str, Any]:
    """What the control group is to keep. Devices are guarded by root alone; no other user can make one anyway."""
    resources = (config.get("linux") or {}).get("resources") or {}
    return resources if has_root() else {name: value for name, value in resources.items() if name != "devices"}


def _plan(container: Container, bundle: Bundle, group: Group | None) -> Plan:
    config = bundle.config
    linux = config.get("linux") or {}
    plan = Plan(container_id=container.id, process=config["process"], config=config)
    plan.bundle, plan.rootfs, plan.group = bundle.directory, bundle.rootfs, group
    plan.document = container.document(status="creating")
    plan.linux = linux
    plan.seccomp = linux.get("seccomp")
    for namespace in linux.get("namespaces") or ():
        flag = NAMESPACES[namespace["type"]][0]
        path = namespace.get("path")
        if not path:
            plan.new |= flag
            continue
        try:
            plan.joins.append((flag, os.open(path, os.O_RDONLY | os.O_CLOEXEC)))
        except OSError as error:
            raise BadBundle(f"the namespace {path} cannot be opened: {error.strerror}") from None
        if is_own_namespace(plan.joins[-1][1], namespace["type"]):
            guards.refuse_sysctl_of(namespace["type"], linux.get("sysctl") or ())
            if namespace["type"] == "uts" and (config.get("hostname") or config.get("domainname")):
                raise BadBundle(f"{path} is the host's UTS namespace: hostname and domainname would change the host's")
    if linux.get("uidMappings") or linux.get("gidMappings"):
        plan.maps = (linux.get("uidMappings") or [], linux.get("gidMappings") or [])
    plan.mounts_are_others = joins_mount_namespace(config)
    plan.time_offsets = linux.get("timeOffsets") or {}
    plan.sources = mapped.clone_all(config, bundle.directory, plan.joins)
    plan.fifo = os.open(container.fifo, os.O_RDWR | os.O_CLOEXEC)
    return plan


def _close(plan: Plan) -> None:
    for descriptor in (*plan.sources.values(), *(opened for _, opened in plan.joins)):
        os.close(descriptor)
    os.close(plan.fifo)


def _end_first_process(container: Container) -> None:
    if not container.is_alive():
        return
    try:
        descriptor = pidfd_open(container.pid)
    except ProcessLookupError:
        return
    try:
        if start_time(container.pid) != container.record.get("startTime"):
            return
        group = container.group
        if group is not None:
            _thaw(group)
        send_signal(descriptor, _SIGKILL)
        if not has_ended(descriptor, timeout=_LAST_WAIT):
            raise WrongStatus(f"container {container.id}: process {container.pid} does not end")
    finally:
        os.close(descriptor)


def _thaw(group: Group) -> None:
    try:
        if group.is_frozen():
            group.thaw()
    except FileNotFoundError:
        pass


def _remove_default_parent(group: Group) -> None:
    """/estiba is everybody's: whoever leaves it last takes it away. An ordinary user's lies deeper."""
    parent = group.path.rpartition("/")[0]
    if not parent.endswith(DEFAULT_PARENT):
        return
    for directory in group.directories():
        place = directory.removesuffix(group.path) + parent
        try:
            os.rmdir(place)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EBUSY, errno.EACCES, errno.EPERM):
                raise
