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
    IdMapping,
    Resources,
    Rlimit,
    SpecMount,
    SpecOptions,
)
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
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

    `home` is the user's directory in the image's /etc/passwd, "" where there is none. `foreign` are as in SpecOptions.
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
    """PATH and TERM by default, then the image's variables, then the user's; a later value replaces an earlier one."""
    found: dict[str, str] = {"PATH": DEFAULT_PATH}
    if options.tty:
        found["TERM"] = "xterm"
    for entry in image:
        name, _, value = entry.partition("=")
        found[name] = value
    for entry in options.env:
        name, equals, value = entry.partition("=")
        if equals:
            found[name] = value
        else:
            found.pop(name, None)
    return tuple(f"{name}={value}" for name, value in found.items())


def spec_options(process: Process, options: ContainerOptions, place: Place) -> SpecOptions:
    """Everything that the runtime's `config.json` is made of.

    Raises:
        InvalidInput: an unknown capability or limit.
    """
    security, limits = options.security, options.limits
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
        hostname=place.hostname,
        domainname=options.naming.domainname,
        mounts=place.mounts,
        capabilities=capabilities(security),
        no_new_privileges=not security.allow_new_privileges,
        privileged=security.privileged,
        seccomp=security.seccomp,
        architecture=place.architecture,
        resources=resources(limits, counts_swap=place.counts_swap, counts_pids=place.counts_pids),
        rlimits=tuple(_rlimit(u.name, u.soft, u.hard) for u in limits.ulimits),
        sysctl=options.sysctls,
        oom_score_adj=limits.oom_score_adj,
        shm_size=limits.shm_size or DEFAULT_SHM_SIZE,
        cgroups_path=place.cgroups_path,
        uid_mappings=place.uid_mappings,
        gid_mappings=place.gid_mappings,
        user_namespace=place.user_namespace,
        shares_user_namespace=place.shares_user_namespace,
        network=place.network,
        foreign=place.foreign,
        annotations=options.annotations,
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
        cpu_shares=limits.cpu_shares or None,
        cpu_quota=limits.nano_cpus * CPU_PERIOD // 10**9 if limits.nano_cpus else None,
        cpu_period=CPU_PERIOD if limits.nano_cpus else None,
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
