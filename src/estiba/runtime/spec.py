"""From a few options to a complete runtime-spec `config.json`: Docker's defaults, and nothing looser. Pure.

Whoever knows more (an image's config, a Dockerfile's RUN) turns it into `SpecOptions`; nothing here looks at a machine.
"""

from __future__ import annotations

from estiba.runtime.seccomp.profile import default_profile
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

SPEC_VERSION = "1.0.2"

DEFAULT_CAPABILITIES: tuple[str, ...] = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)

_ALL_CAPABILITY_NAMES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
ALL_CAPABILITIES: tuple[str, ...] = tuple("CAP_" + name for name in _ALL_CAPABILITY_NAMES.split())

MASKED_PATHS: tuple[str, ...] = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)

READONLY_PATHS: tuple[str, ...] = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHM_SIZE = 64 << 20


class IdMapping(NamedTuple):
    """`size` ids from `container` on are the host's from `host` on."""

    container: int
    host: int
    size: int


class SpecMount(NamedTuple):
    """One mount in the container; a `destination` equal to a default one's replaces it.

    A bind mount with `uid_mappings` shows other owners: `container` on disk is the host's `host`.
    """

    destination: str
    type: str
    source: str
    options: tuple[str, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()


class SpecDevice(NamedTuple):
    """A device node in the container. `kind` is ``c``, ``b`` or ``p``; `access` what the cgroup allows."""

    path: str
    kind: str
    major: int
    minor: int
    mode: int = 0o666
    uid: int = 0
    gid: int = 0
    access: str = "rwm"


class Rlimit(NamedTuple):
    """A limit of setrlimit(2); `kind` is ``RLIMIT_NOFILE`` and the like."""

    kind: str
    soft: int
    hard: int


class Resources(NamedTuple):
    """Limits; None leaves the kernel's own. Sizes are bytes, CPU times microseconds, `memory_swap` is memory + swap."""

    memory: int | None = None
    memory_reservation: int | None = None
    memory_swap: int | None = None
    cpu_shares: int | None = None
    cpu_quota: int | None = None
    cpu_period: int | None = None
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids: int | None = None
    device_rules: tuple[dict[str, Any], ...] = ()
    memory_swappiness: int | None = None
    oom_kill_disable: bool = False
    cpu_rt_period: int | None = None
    cpu_rt_runtime: int | None = None
    block_io: dict[str, Any] | None = None  # the runtime-spec's object itself


class SpecOptions(NamedTuple):
    """What one container shall be. Namespaces are ``new``, ``host`` or ``path:/proc/…/ns/…``.

    `capabilities` is the bounding set; `ambient_capabilities` are kept by a user other than root too.
    `shares_user_namespace`: the runtime itself is root of an ordinary user's namespace, and the container stays in it.
    `foreign` are the kinds of joined namespaces that do not belong to the container's users.
    `seccomp` is ``default``, ``unconfined`` or the runtime-spec's object itself; with `keeps_project` it lets nobody
    give a file another project, by which a quota is counted. `privileged` lifts every guard.
    `shm_size` 0 mounts no /dev/shm. `apparmor` is a profile, `process_label` and `mount_label` are SELinux labels.
    """

    args: tuple[str, ...]
    rootfs: str = "rootfs"
    read_only: bool = False
    env: tuple[str, ...] = (f"PATH={DEFAULT_PATH}",)
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    additional_gids: tuple[int, ...] = ()
    umask: int | None = None
    terminal: bool = False
    console_size: tuple[int, int] | None = None  # rows, columns
    hostname: str = ""
    domainname: str = ""
    mounts: tuple[SpecMount, ...] = ()
    devices: tuple[SpecDevice, ...] = ()
    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES
    ambient_capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = True
    privileged: bool = False
    seccomp: str | dict[str, Any] = "default"
    keeps_project: bool = False
    architecture: str = "amd64"
    resources: Resources = Resources()
    rlimits: tuple[Rlimit, ...] = ()
    sysctl: tuple[tuple[str, str], ...] = ()
    masked_paths: tuple[str, ...] = MASKED_PATHS
    readonly_paths: tuple[str, ...] = READONLY_PATHS
    oom_score_adj: int | None = None
    shm_size: int = DEFAULT_SHM_SIZE
    apparmor: str = ""
    process_label: str = ""
    mount_label: str = ""
    cgroups_path: str = ""
    network: str = "new"
    pid: str = "new"
    ipc: str = "new"
    uts: str = "new"
    cgroup: str = "new"
    foreign: tuple[str, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    user_namespace: str = ""  # the path of one with these mappings, which root made; "" lets the runtime make it
    shares_user_namespace: bool = False
    rootfs_propagation: str = ""
    annotations: tuple[tuple[str, str], ...] = ()
    hooks: tuple[tuple[str, tuple[dict[str, Any], ...]], ...] = ()


def container_spec(options: SpecOptions) -> dict[str, Any]:
    """The complete `config.json` of a container (runtime-spec 1.0, config.md and config-linux.md)."""
    spec: dict[str, Any] = {
        "ociVersion": SPEC_VERSION,
        "process": process_spec(options),
        "root": {"path": options.rootfs, "readonly": options.read_only},
        "mounts": _mounts(options),
        "linux": _linux(options),
    }
    if options.hostname and options.uts != "host":
        spec["hostname"] = options.hostname
    if options.domainname and options.uts != "host":
        spec["domainname"] = options.domainname
    if options.annotations:
        spec["annotations"] = dict(options.annotations)
    if options.hooks:
        spec["hooks"] = {name: list(hooks) for name, hooks in options.hooks}
    return spec


def process_spec(options: SpecOptions) -> dict[str, Any]:
    """The `process` object alone: also what `exec` takes for one more process in a running container."""
    user: dict[str, Any] = {"uid": options.uid, "gid": options.gid}
    if options.additional_gids:
        user["additionalGids"] = list(options.additional_gids)
    if options.umask is not None:
        user["umask"] = options.umask
    bounding = sorted(ALL_CAPABILITIES if options.privileged else options.capabilities)
    ambient = sorted(options.ambient_capabilities)
    process: dict[str, Any] = {
        "terminal": options.terminal,
        "user": user,
        "args": list(options.args),
        "env": list(options.env),
        "cwd": options.cwd,
        "capabilities": {
            "bounding": bounding,
            "effective": bounding,
            "permitted": bounding,
            # Inheritable ones would be gained by programs with file capabilities (CVE-2022-24769).
            "inheritable": ambient,
            "ambient": ambient,
        },
        "noNewPrivileges": options.no_new_privileges and not options.privileged,
    }
    if options.apparmor:
        process["apparmorProfile"] = options.apparmor
    if options.process_label:
        process["selinuxLabel"] = options.process_label
    if options.console_size is not None:
        process["consoleSize"] = {"height": options.console_size[0], "width": options.console_size[1]}
    if options.rlimits:
        process["rlimits"] = [{"type": r.kind, "soft": r.soft, "hard": r.hard} for r in options.rlimits]
    if options.oom_score_adj is not None:
        process["oomScoreAdj"] = options.oom_score_adj
    return process


def _mounts(options: SpecOptions) -> list[dict[str, Any]]:
    maps_gid_5 = not options.gid_mappings or any(m.container <= 5 < m.container + m.size for m in options.gid_mappings)
    pts = ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", *(("gid=5",) if maps_gid_5 else ()))
    writable = () if options.privileged else ("ro",)
    quiet = ("nosuid", "noexec", "nodev")
    # sysfs belongs to the network namespace: who has no power over that may only show the host's /sys.
    if "network" in options.foreign or (
        (options.uid_mappings or options.shares_user_namespace) and options.network == "host"
    ):
        sys_mount = SpecMount("/sys", "bind", "/sys", ("rbind", "rslave", *quiet, "ro", "rro"))
    else:
        sys_mount = SpecMount("/sys", "sysfs", "sysfs", (*quiet, *writable))
    # procfs belongs to the processes' namespace likewise.
    if (options.uid_mappings or options.shares_user_namespace) and options.pid == "host":
        proc_mount = SpecMount("/proc", "bind", "/proc", ("rbind", "rslave", *quiet))
    else:
        proc_mount = SpecMount("/proc", "proc", "proc", quiet)
    if (options.uid_mappings or options.shares_user_namespace) and options.ipc == "host":
        queues = SpecMount("/dev/mqueue", "bind", "/dev/mqueue", ("rbind", "rslave", *quiet))
    else:
        queues = SpecMount("/dev/mqueue", "mqueue", "mqueue", quiet)
    defaults = [
        proc_mount,
        SpecMount("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
        SpecMount("/dev/pts", "devpts", "devpts", pts),
        sys_mount,
        SpecMount("/sys/fs/cgroup", "cgroup", "cgroup", (*quiet, "relatime", *writable)),
        queues,
        SpecMount("/dev/shm", "tmpfs", "shm", (*quiet, "mode=1777", f"size={options.shm_size}")),
    ]
    if not options.shm_size:
        defaults.pop()
    if (options.uid_mappings and not options.user_namespace) or options.shares_user_namespace:
        defaults = [m for m in defaults if m.destination != "/sys/fs/cgroup"]
    replaced = {m.destination for m in options.mounts}
    chosen = [m for m in defaults if m.destination not in replaced]
    # Parents first; mounts of the user keep their own order among equals.
    chosen += sorted(options.mounts, key=lambda m: m.destination.count("/") if m.destination != "/" else 0)
    return [_mount(m) for m in chosen]


def _mount(mount: SpecMount) -> dict[str, Any]:
    document: dict[str, Any] = {
        "destination": mount.destination,
        "type": mount.type,
        "source": mount.source,
        "options": list(mount.options),
    }
    if mount.uid_mappings:
        document["uidMappings"] = [_mapping(m) for m in mount.uid_mappings]
        document["gidMappings"] = [_mapping(m) for m in mount.gid_mappings]
    return document


def _linux(options: SpecOptions) -> dict[str, Any]:
    linux: dict[str, Any] = {"resources": _resources(options), "namespaces": _namespaces(options)}
    if not options.privileged:
        linux["maskedPaths"] = list(options.masked_paths)
        linux["readonlyPaths"] = list(options.readonly_paths)
    if options.uid_mappings:
        linux["uidMappings"] = [_mapping(m) for m in options.uid_mappings]
        linux["gidMappings"] = [_mapping(m) for m in options.gid_mappings]
    if options.mount_label:
        linux["mountLabel"] = options.mount_label
    if options.cgroups_path:
        linux["cgroupsPath"] = options.cgroups_path
    if options.sysctl:
        linux["sysctl"] = dict(options.sysctl)
    if options.rootfs_propagation:
        linux["rootfsPropagation"] = options.rootfs_propagation
    if options.devices:
        linux["devices"] = [
            {
                "path": d.path,
                "type": d.kind,
                "major": d.major,
                "minor": d.minor,
                "fileMode": d.mode,
                "uid": d.uid,
                "gid": d.gid,
            }
            for d in options.devices
        ]
    if seccomp := _seccomp(options):
        linux["seccomp"] = seccomp
    return linux


def _seccomp(options: SpecOptions) -> dict[str, Any] | None:
    if isinstance(options.seccomp, dict):
        profile = options.seccomp
    elif options.seccomp == "default" and not options.privileged:
        profile = default_profile(options.capabilities, architecture=options.architecture)
    else:
        return None
    if not options.keeps_project or options.uid_mappings or options.shares_user_namespace:
        return profile  # in a user namespace the kernel itself lets nobody change a project
    from estiba.runtime.seccomp.project import kept_in_project

    return kept_in_project(profile)


def _mapping(mapping: IdMapping) -> dict[str, int]:
    return {"containerID": mapping.container, "hostID": mapping.host, "size": mapping.size}


def _namespaces(options: SpecOptions) -> list[dict[str, str]]:
    chosen = [{"type": "mount"}]
    for kind, choice in (
        ("pid", options.pid),
        ("network", options.network),
        ("ipc", options.ipc),
        ("uts", options.uts),
        ("cgroup", options.cgroup),
    ):
        if choice == "new":
            chosen.append({"type": kind})
        elif choice.startswith("path:"):
            chosen.append({"type": kind, "path": choice.removeprefix("path:")})
    if options.uid_mappings:
        path = {"path": options.user_namespace} if options.user_namespace else {}
        chosen.append({"type": "user", **path})
    return chosen


def _resources(options: SpecOptions) -> dict[str, Any]:
    wanted = options.resources
    devices: list[dict[str, Any]] = [{"allow": options.privileged, "access": "rwm"}]
    if not options.privileged:
        # To make a node is harmless: only opening it is guarded (Docker's default too).
        devices.extend({"allow": True, "type": kind, "access": "m"} for kind in ("c", "b"))
    devices.extend(
        {"allow": True, "type": d.kind, "major": d.major, "minor": d.minor, "access": d.access}
        for d in options.devices
        if d.kind in ("c", "b")
    )
    devices.extend(wanted.device_rules)
    return {"devices": devices, **limits_spec(wanted)}


def limits_spec(wanted: Resources) -> dict[str, Any]:
    """The `resources` object with everything but the rules for devices: also what `update` takes."""
    memory = _present(
        limit=wanted.memory,
        reservation=wanted.memory_reservation,
        swap=wanted.memory_swap,
        swappiness=wanted.memory_swappiness,
        disableOOMKiller=wanted.oom_kill_disable or None,
    )
    cpu = _present(
        shares=wanted.cpu_shares,
        quota=wanted.cpu_quota,
        period=wanted.cpu_period,
        realtimePeriod=wanted.cpu_rt_period,
        realtimeRuntime=wanted.cpu_rt_runtime,
        cpus=wanted.cpuset_cpus or None,
        mems=wanted.cpuset_mems or None,
    )
    resources: dict[str, Any] = {}
    if memory:
        resources["memory"] = memory
    if cpu:
        resources["cpu"] = cpu
    if wanted.pids is not None:
        resources["pids"] = {"limit": wanted.pids}
    if wanted.block_io:
        resources["blockIO"] = wanted.block_io
    return resources


def _present(**values: int | str | bool | None) -> dict[str, int | str | bool]:
    return {name: value for name, value in values.items() if value is not None}
