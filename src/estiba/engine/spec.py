"""An image's configuration and a user's options → what a runtime is told. Pure.

Two steps: `plan_process` joins image and options when the container is made; `spec_options` adds at every start what
only the machine knows (ids of users, places of mounts, the network).
"""

from __future__ import annotations

from estiba.errors import InvalidInput
from estiba.runtime.spec import (
    ALL_CAPABILITIES,
    DEFAULT_CAPABILITIES,
    DEFAULT_PATH,
    DEFAULT_SHM_SIZE,
    MASKED_PATHS,
    READONLY_PATHS,
    IdMapping,
    Resources,
    Rlimit,
    SpecDevice,
    SpecMount,
    SpecOptions,
)
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from estiba.engine.options import ContainerOptions, Limits, Security
    from estiba.oci.image_config import RunConfig

DEFAULT_STOP_SIGNAL = "SIGTERM"
CPU_PERIOD = 100_000
DEFAULT_PIDS = 2048
"""Processes and threads where nobody sets a limit (Podman's number): a fork bomb must not take the host along."""
_UNLIMITED = (1 << 64) - 1

_ULIMITS = "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack"
ULIMIT_NAMES = frozenset(_ULIMITS.split())


class Process(NamedTuple):
    """What a container runs: image and options joined. `env` has no HOME yet where nobody set one."""

    args: tuple[str, ...]
    env: tuple[str, ...]
    working_dir: str
    user: str
    stop_signal: str
    labels: tuple[tuple[str, str], ...]
    volumes: tuple[str, ...]
    exposed_ports: tuple[str, ...]


class Place(NamedTuple):
    """What the machine adds at a start. `network` is ``new``, ``host`` or ``path:…``; `mounts` follow the default ones.

    `home` is the user's directory in the image's /etc/passwd, "" where there is none. `pid` and `ipc` are as `network`;
    "" leaves them to the options. `devices` are found on the machine, as the numbers in `block_io` are. `release` is
    the kernel's, such as (6, 1). `foreign` are as in SpecOptions.
    """

    container_id: str
    hostname: str
    uid: int = 0
    gid: int = 0
    additional_gids: tuple[int, ...] = ()
    home: str = ""
    mounts: tuple[SpecMount, ...] = ()
    network: str = "new"
    foreign: tuple[str, ...] = ()
    cgroups_path: str = ""
    counts_swap: bool = False
    counts_pids: bool = False
    architecture: str = "amd64"
    console_size: tuple[int, int] | None = None
    rootfs: str = "rootfs"
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    user_namespace: str = ""
    shares_user_namespace: bool = False
    pid: str = ""
    ipc: str = ""
    devices: tuple[SpecDevice, ...] = ()
    device_rules: tuple[dict[str, Any], ...] = ()
    block_io: dict[str, Any] | None = None
    release: tuple[int, int] = (0, 0)


def plan_process(run: RunConfig, options: ContainerOptions) -> Process:
    """Join an image's `config` with what the user asks (image-spec, config.md; Docker's rules where they differ).

    Raises:
        InvalidInput: neither names a command.
    """
    entrypoint = run.entrypoint if options.entrypoint is None else options.entrypoint
    command = options.command
    if command is None:
        # A user's own entry point takes the image's command away.
        command = run.cmd if options.entrypoint is None else None
    args = (*(entrypoint or ()), *(command or ()))
    if not args:
        raise InvalidInput(
            f"image {options.image} has no command of its own", remedy="Give one after the image: estiba run IMAGE sh"
        )
    return Process(
        args=args,
        env=joined_environment(run.env, options),
        working_dir=options.working_dir or run.working_dir or "/",
        user=options.user or run.user,
        stop_signal=options.stop_signal or run.stop_signal or DEFAULT_STOP_SIGNAL,
        labels=tuple((dict(run.labels) | dict(options.labels)).items()),
        volumes=run.volumes,
        exposed_ports=tuple(dict.fromkeys((*run.exposed_ports, *options.expose))),
    )


def joined_environment(image: tuple[str, ...], options: ContainerOptions) -> tuple[str, ...]:
    """The user's variables, then those of the image that they do not replace, then PATH and TERM by default: Docker's
    order. A name without a value takes the image's variable away."""
    found: dict[str, str] = {}
    removed = set()
    for entry in options.env:
        name, equals, value = entry.partition("=")
        found.pop(name, None)
        if equals:
            found[name] = value
        else:
            removed.add(name)
    defaults = (f"PATH={DEFAULT_PATH}", *(("TERM=xterm",) if options.tty else ()))
    for entry in (*image, *defaults):
        name, _, value = entry.partition("=")
        if name not in removed:
            found.setdefault(name, value)
    return tuple(f"{name}={value}" for name, value in found.items())


def spec_options(process: Process, options: ContainerOptions, place: Place) -> SpecOptions:
    """Everything that the runtime's `config.json` is made of.

    Raises:
        InvalidInput: an unknown capability or limit.
    """
    security, limits, shared = options.security, options.limits, options.shared
    given = capabilities(security)
    has_own_name = shared.uts != "host"
    return SpecOptions(
        args=process.args,
        rootfs=place.rootfs,
        read_only=security.read_only,
        env=process_environment(process.env, place),
        cwd=process.working_dir,
        uid=place.uid,
        gid=place.gid,
        additional_gids=place.additional_gids,
        terminal=options.tty,
        console_size=place.console_size,
        hostname=place.hostname if has_own_name else "",
        domainname=options.naming.domainname if has_own_name else "",
        mounts=place.mounts,
        devices=place.devices,
        capabilities=given,
        no_new_privileges=not security.allow_new_privileges,
        privileged=security.privileged,
        apparmor=security.apparmor,
        process_label=security.process_label,
        mount_label=security.mount_label,
        seccomp=_seccomp(security, given, place),
        keeps_project=bool(dict(options.storage).get("size")),
        architecture=place.architecture,
        resources=resources(limits, counts_swap=place.counts_swap, counts_pids=place.counts_pids)._replace(
            device_rules=(*place.device_rules, *(device_rule(text) for text in options.device_rules)),
            block_io=place.block_io,
        ),
        rlimits=tuple(_rlimit(u.name, u.soft, u.hard) for u in limits.ulimits),
        sysctl=options.sysctls,
        oom_score_adj=limits.oom_score_adj,
        shm_size=0 if shared.ipc == "none" else limits.shm_size or DEFAULT_SHM_SIZE,
        cgroups_path=place.cgroups_path or cgroups_path(options.cgroup_parent, place.container_id),
        uid_mappings=place.uid_mappings,
        gid_mappings=place.gid_mappings,
        user_namespace=place.user_namespace,
        shares_user_namespace=place.shares_user_namespace,
        network=place.network,
        pid=place.pid or _namespace(shared.pid),
        ipc=place.ipc or _namespace(shared.ipc),
        uts=_namespace(shared.uts),
        cgroup=_namespace(shared.cgroup),
        rootfs_propagation=propagation(options),
        foreign=place.foreign,
        annotations=options.annotations,
        masked_paths=() if security.shows_system_paths else MASKED_PATHS,
        readonly_paths=() if security.shows_system_paths else READONLY_PATHS,
    )


def cgroups_path(parent: str, container_id: str) -> str:
    """The control group of a container below `parent`; "" for the runtime's own choice.

    Raises:
        InvalidInput: the parent leads out of its place.
    """
    if not parent:
        return ""
    parts = [part for part in parent.split("/") if part]
    if ".." in parts or "." in parts or any(c.isspace() or ord(c) < 32 for c in parent):
        raise InvalidInput(
            f"invalid --cgroup-parent {parent!r}", remedy="Give a group's path below /sys/fs/cgroup, such as /batch."
        )
    return "/" + "/".join((*parts, container_id))


def device_rule(text: str) -> dict[str, Any]:
    """``c 1:3 rwm`` as the runtime-spec writes it; * is any number.

    Raises:
        InvalidInput: it is no such rule.
    """
    words = text.split(" ")
    numbers = words[1].split(":") if len(words) == 3 else []
    is_rule = (
        len(numbers) == 2
        and words[0] in ("a", "b", "c")
        and all(n == "*" or (n.isascii() and n.isdigit() and len(n) < 10) for n in numbers)
        and 0 < len(words[2]) <= 3
        and not set(words[2]) - set("rwm")
    )
    if not is_rule:
        raise InvalidInput(f"invalid device cgroup rule {text!r}", remedy="Write such as 'c 1:3 rwm' or 'b 8:* r'.")
    rule: dict[str, Any] = {"allow": True, "type": words[0], "access": words[2]}
    rule |= {name: int(number) for name, number in zip(("major", "minor"), numbers, strict=True) if number != "*"}
    return rule


def propagation(options: ContainerOptions) -> str:
    """How the mounts of the container's root travel: outwards only where a bind is shared, inwards where one asks."""
    asked = {option.removeprefix("r") for mount in options.mounts for option in mount.options if mount.kind == "bind"}
    return "rshared" if "shared" in asked else "rslave" if "slave" in asked else ""


def _namespace(choice: str) -> str:
    """``new`` or ``host``; those of other containers are the machine's to find."""
    return "host" if choice == "host" else "new"


def _seccomp(security: Security, given: tuple[str, ...], place: Place) -> str | dict[str, Any]:
    if security.seccomp in ("default", "unconfined"):
        return security.seccomp
    from estiba.engine.seccomp_profile import compiled, parsed

    return compiled(
        parsed(security.seccomp), capabilities=given, architecture=place.architecture, release=place.release
    )


def process_environment(env: tuple[str, ...], place: Place) -> tuple[str, ...]:
    """`env` with HOSTNAME, and with HOME where it is not set."""
    names = {entry.partition("=")[0] for entry in env}
    added = () if "HOSTNAME" in names else (f"HOSTNAME={place.hostname}",)
    home = () if "HOME" in names else (f"HOME={place.home or '/'}",)
    return (*env[:1], *added, *env[1:], *home)


def capabilities(security: Security) -> tuple[str, ...]:
    """Docker's default set, plus what was added, minus what was dropped (``ALL`` drops first, then adds).

    Raises:
        InvalidInput: there is no such capability.
    """
    added, dropped = _capability_names(security.cap_add), _capability_names(security.cap_drop)
    chosen = set(ALL_CAPABILITIES if "CAP_ALL" in added else DEFAULT_CAPABILITIES)
    if "CAP_ALL" in dropped:
        chosen = set() if "CAP_ALL" not in added else chosen
    chosen |= set(added) - {"CAP_ALL"}
    chosen -= set(dropped) - {"CAP_ALL"}
    return tuple(sorted(chosen))


def resources(limits: Limits, *, counts_swap: bool, counts_pids: bool = False) -> Resources:
    """Limits in the kernel's words. Memory without a word on swap gives as much swap as memory, as in Docker."""
    swap: int | None = None
    pids = limits.pids or (DEFAULT_PIDS if counts_pids else 0)
    if limits.memory_swap:
        swap = limits.memory_swap
    elif limits.memory and counts_swap:
        swap = limits.memory * 2
    return Resources(
        memory=limits.memory or None,
        memory_reservation=limits.memory_reservation or None,
        memory_swap=swap,
        memory_swappiness=limits.swappiness,
        oom_kill_disable=limits.oom_kill_disable,
        cpu_shares=limits.cpu_shares or None,
        cpu_quota=limits.nano_cpus * CPU_PERIOD // 10**9 if limits.nano_cpus else limits.cpu_quota or None,
        cpu_period=CPU_PERIOD if limits.nano_cpus else limits.cpu_period or None,
        cpu_rt_period=limits.cpu_rt_period or None,
        cpu_rt_runtime=limits.cpu_rt_runtime or None,
        cpuset_cpus=limits.cpuset_cpus,
        cpuset_mems=limits.cpuset_mems,
        pids=pids if pids > 0 else None,
    )


def _capability_names(names: tuple[str, ...]) -> tuple[str, ...]:
    found = []
    for name in names:
        full = "CAP_" + name.upper().removeprefix("CAP_")
        if full != "CAP_ALL" and full not in ALL_CAPABILITIES:
            raise InvalidInput(f"there is no capability {name!r}", remedy="Names are those of capabilities(7).")
        found.append(full)
    return tuple(found)


def _rlimit(name: str, soft: int, hard: int) -> Rlimit:
    if name not in ULIMIT_NAMES:
        raise InvalidInput(f"there is no limit {name!r}", remedy=f"Limits are {', '.join(sorted(ULIMIT_NAMES))}.")
    return Rlimit(f"RLIMIT_{name.upper()}", soft if soft >= 0 else _UNLIMITED, hard if hard >= 0 else _UNLIMITED)
