"""The container's files as its monitor prepares them: mounts, /etc/hosts and its like, the user in the image."""

from __future__ import annotations

import errno
import os
import stat

from estiba.engine.monitor.copy_up import fill_volume
from estiba.engine.monitor.ordinary_user import is_ordinary, plain_directory
from estiba.errors import InvalidInput, Unavailable
from estiba.image.users import UserIds, resolve_user
from estiba.linux import capabilities
from estiba.linux.mounts import is_mounted, make_private_namespace, mount_all, unmount
from estiba.linux.paths import open_in_root
from estiba.networks.resolver import NAME_SERVER, hosts, resolv_conf
from estiba.runtime.spec import IdMapping, SpecMount
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estiba.engine.monitor.request import StartRequest
    from estiba.engine.options import VolumeMount
    from estiba.engine.paths import ContainerPaths
    from estiba.linux.mounts import Mount
    from estiba.linux.own_ids import OwnIds

_LARGEST_FILE = 1 << 20
_SHARED = frozenset(("shared", "rshared"))
_PROPAGATING = _SHARED | {"slave", "rslave"}


def mount_rootfs(request: StartRequest, paths: ContainerPaths, own: OwnIds | None) -> str:
    """Mount the container's files where only this process and its children see them; gives the place.

    Raises:
        Unavailable: the kernel refused, or this user may not.
    """
    if is_ordinary():
        return plain_directory(request.rootfs, name=request.name)
    os.makedirs(paths.rootfs, mode=0o700, exist_ok=True)
    make_private_namespace(shared=_shared_sources(request))
    mounts = _passing(request.rootfs) if request.options.auto_remove else request.rootfs
    if request.options.security.mount_label:
        from estiba.engine.monitor.labelling import labelled_rootfs

        mounts = labelled_rootfs(mounts, request.options.security.mount_label)
    # The overlay writes with the rights of whoever mounts it, and one of them is to pass over quotas.
    rights = _without_resource_rights() if request.options.storage else None
    try:
        if own is not None:
            own.mount_rootfs(mounts, paths.rootfs, f"{paths.bundle}/layers")
        else:
            mount_all(mounts, paths.rootfs)
    except OSError as error:
        raise Unavailable(f"the files of container {request.name} cannot be mounted: {error}") from error
    finally:
        if rights is not None:
            capabilities.set_current(*rights)
    return paths.rootfs


def _without_resource_rights() -> tuple[int, int, int]:
    """Let CAP_SYS_RESOURCE rest; gives what `capabilities.set_current` takes to have all as it was."""
    effective, permitted, inheritable = capabilities.current()
    capabilities.set_current(effective & ~(1 << capabilities.SYS_RESOURCE), permitted, inheritable)
    return effective, permitted, inheritable


def _shared_sources(request: StartRequest) -> list[str]:
    """Directories whose mounts are to travel both ways between the host and the container.

    Raises:
        InvalidInput: the host does not share one.
    """
    asked = [m for m in request.options.mounts if m.kind == "bind" and _PROPAGATING.intersection(m.options)]
    if not asked:
        return []
    from estiba.linux.propagation import check

    for mount in asked:
        check(mount.source, wants_shared=bool(_SHARED.intersection(mount.options)))
    return [mount.source for mount in asked if _SHARED.intersection(mount.options)]


def _passing(mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
    """Without the wait for the disk that ends an overlay: what is removed with its container need not be on it."""
    return tuple(m._replace(options=(*m.options, "volatile")) if m.type == "overlay" else m for m in mounts)


def unmount_rootfs(paths: ContainerPaths) -> None:
    """Let go of the container's files, so that they can be removed."""
    if is_mounted(paths.rootfs):
        unmount(paths.rootfs, detach=True)


def hide_unified_cgroups() -> None:
    """Take a cgroup v2 hierarchy that lies beside v1's controllers out of our sight.

    crun and runc take such a machine for one of pure v2, or ask it for controllers that it does not have.
    """
    unified = "/sys/fs/cgroup/unified"
    if os.path.isdir(unified) and is_mounted(unified):
        unmount(unified, detach=True)


def find_user(text: str, rootfs: str, *, groups: tuple[str, ...] = ()) -> UserIds:
    """The numbers behind `text` (a name or id, with a group or not) in the tree `rootfs`, with further `groups`.

    Raises:
        NotFound, InvalidInput: the image knows no such user.
    """
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        passwd, group = read_text(root, "/etc/passwd"), read_text(root, "/etc/group")
    finally:
        os.close(root)
    found = resolve_user(text, passwd=passwd, group=group)
    more = tuple(resolve_user(f"0:{name}", passwd=passwd, group=group).gid for name in groups)
    return found._replace(additional_gids=tuple(dict.fromkeys((*found.additional_gids, *more))))


def read_text(root: int, path: str) -> str:
    """The text of a regular file in a tree that may be hostile; "" where there is none.

    Only what is known to be a regular file is opened: to open a pipe may last for ever, and a device may act at that
    (a watchdog would restart the host; a container's device rules do not hold for us).
    """
    try:
        place = open_in_root(root, path, os.O_PATH)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return ""
        raise
    try:
        if not stat.S_ISREG(os.fstat(place).st_mode):
            return ""
        with open(f"/proc/self/fd/{place}", "rb") as file:
            return file.read(_LARGEST_FILE).decode(errors="replace")
    finally:
        os.close(place)


def fill_volumes(request: StartRequest, rootfs: str, own: OwnIds | None) -> None:
    """Copy what the image has at a volume's place into volumes that are empty."""
    for place in request.volumes:
        if place.fill and own is not None:
            from estiba.engine.monitor import own_ids

            own_ids.fill(own, rootfs, place.target, place.source)
        elif place.fill:
            fill_volume(rootfs, place.target, place.source)


def write_etc(
    request: StartRequest,
    paths: ContainerPaths,
    *,
    hostname: str,
    address: str,
    gateway: str,
    name_server: str = "",
    answers_names: bool = False,
    owner: tuple[int, int] = (-1, -1),
) -> None:
    """Write the files that are shown as /etc/hosts, /etc/hostname and /etc/resolv.conf; they belong to `owner`.

    `name_server` and `answers_names` are as in `write_resolv_conf`.
    """
    naming = request.options.naming
    names = tuple((name, gateway or "127.0.0.1" if ip == "host-gateway" else ip) for name, ip in naming.add_hosts)
    names += request.links
    full = f"{hostname}.{naming.domainname}" if naming.domainname else hostname
    _write(paths.hosts, hosts(hostname=full, address=address, names=names), owner)
    _write(paths.hostname, hostname + "\n", owner)
    write_resolv_conf(request, paths, name_server=name_server, answers_names=answers_names, owner=owner)


def write_resolv_conf(
    request: StartRequest,
    paths: ContainerPaths,
    *,
    name_server: str = "",
    answers_names: bool = False,
    owner: tuple[int, int] = (-1, -1),
) -> None:
    """Write the file that is shown as /etc/resolv.conf, also while the container runs.

    The network of the host keeps the host's own names. `name_server` is one that the network itself has;
    `answers_names` says that ours is there, which asks the others.
    """
    naming = request.options.naming
    on_host = request.options.network == "host"
    host_text = host_file("/etc/resolv.conf")
    if on_host and not (naming.dns or naming.dns_search or naming.dns_options):
        _write(paths.resolv_conf, host_text, owner)
        return
    text = resolv_conf(
        host_text,
        upstream_text=host_file("/run/systemd/resolve/resolv.conf"),
        servers=(NAME_SERVER,) if answers_names else naming.dns or ((name_server,) if name_server else ()),
        search=naming.dns_search,
        options=naming.dns_options,
        asks_at_once=answers_names,
    )
    _write(paths.resolv_conf, text, owner)


def spec_mounts(
    request: StartRequest, paths: ContainerPaths, *, users: Sequence[IdMapping] = (), groups: Sequence[IdMapping] = ()
) -> tuple[SpecMount, ...]:
    """The mounts of /etc, volumes and tmpfs, in the runtime's words; a user's mount replaces one of ours.

    `users` and `groups` are the container's, where it has ids of its own.

    Raises:
        InvalidInput: a mount is to have mapped ids, and there are none to map to.
    """
    ours = ("rbind", "rprivate")
    mounts = {
        "/etc/resolv.conf": SpecMount("/etc/resolv.conf", "bind", paths.resolv_conf, ours),
        "/etc/hostname": SpecMount("/etc/hostname", "bind", paths.hostname, ours),
        "/etc/hosts": SpecMount("/etc/hosts", "bind", paths.hosts, ours),
    }
    for number, place in enumerate(request.volumes):
        # What is the container's own has its owners on disk: 0 is its root, whatever ids it has on the host.
        options = (*ours, *(("idmap",) if users else ()), *(("ro",) if place.read_only else ()))
        source = f"{paths.bundle}/part-{number}" if place.subpath else place.source
        mounts[place.target] = SpecMount(place.target, "bind", source, options)
    for mount in request.options.mounts:
        if mount.kind == "tmpfs":
            mounts[mount.target] = _tmpfs(mount)
        elif mount.kind == "bind":
            mounts[mount.target] = _bind(mount)
    for mount in request.options.mounts:
        option = next((option for option in mount.options if option.startswith("idmap")), "")
        if option and mount.kind != "tmpfs":
            mounts[mount.target] = _with_owners(mounts[mount.target], option, request, users, groups)
    return tuple(mounts.values())


def _with_owners(
    mount: SpecMount, option: str, request: StartRequest, users: Sequence[IdMapping], groups: Sequence[IdMapping]
) -> SpecMount:
    from estiba.engine import idmap_option

    if not request.runtime_is_ours:
        raise Unavailable("a mount with mapped ids takes Estiba's own runtime", remedy="Leave --runtime or idmap out.")
    others = tuple(each for each in mount.options if not idmap_option.is_idmap(each))
    if option != idmap_option.NAME:
        uids, gids = idmap_option.mappings(option, users, groups)
        return mount._replace(options=others, uid_mappings=uids, gid_mappings=gids)
    if not users:
        raise InvalidInput(
            f"idmap on {mount.destination} means the container's ids, and those are the host's",
            remedy="Add --userns=auto, or say which: idmap=uids=0-1000-1;gids=0-1000-1",
        )
    return mount._replace(options=(*others, option))


def _tmpfs(mount: VolumeMount) -> SpecMount:
    given = {option.partition("=")[0] for option in mount.options}
    options = [option for option in ("nosuid", "nodev", "noexec") if option.removeprefix("no") not in given]
    options += [option for option in mount.options if option not in options]
    if mount.read_only and "ro" not in options:
        options.append("ro")
    return SpecMount(mount.target, "tmpfs", "tmpfs", tuple(options))


def _bind(mount: VolumeMount) -> SpecMount:
    propagation = () if any(o.endswith(("private", "slave", "shared")) for o in mount.options) else ("rprivate",)
    read_only: tuple[str, ...] = ("ro",) if mount.read_only else ()
    # With all that is mounted below it, as in Docker: a read-only tree is what the word promises. (crun takes no file.)
    if mount.read_only and not mount.only_top_read_only and os.path.isdir(mount.source):
        read_only = ("ro", "rro")
    return SpecMount(mount.target, "bind", mount.source, (*mount.options, *propagation, *read_only))


def _write(path: str, text: str, owner: tuple[int, int]) -> None:
    # In place: a running container that was restarted by its policy has this very file mounted.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    with open(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o644)
        if owner != (-1, -1):
            os.fchown(descriptor, *owner)
        file.write(text)


def host_file(path: str) -> str:
    """A file of the host, "" where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_LARGEST_FILE)
    except OSError:
        return ""
