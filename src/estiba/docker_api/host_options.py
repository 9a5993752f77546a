"""What HostConfig asks of the machine: limits, devices, namespaces that are shared, rights. Pure."""

from __future__ import annotations

import posixpath

from estiba.docker_api.fields import Fields, list_of, number_of, text_of
from estiba.engine.limit_checks import Processors, check_block_io, checked
from estiba.engine.options import BlockIo, ContainerOptions, Device, Health, Limits, Security, Shared, Ulimit
from estiba.engine.seccomp_profile import parsed
from estiba.engine.spec import cgroups_path, device_rule
from estiba.engine.userns import parse_users
from estiba.errors import InvalidInput, NotThereYet

_MILLISECOND = 10**6  # in nanoseconds
_ANY_NUMBER = 1 << 16  # of processors: how many there are is seen when the container is made


def limits(host: Fields) -> Limits:
    """Raises InvalidInput: a limit that cannot be kept, or two that contradict each other."""
    pids, swappiness = number_of(host, "PidsLimit"), host.get("MemorySwappiness")
    asked = Limits(
        memory=number_of(host, "Memory"),
        memory_swap=number_of(host, "MemorySwap"),
        memory_reservation=number_of(host, "MemoryReservation"),
        nano_cpus=number_of(host, "NanoCpus"),
        cpu_shares=number_of(host, "CpuShares"),
        cpuset_cpus=text_of(host, "CpusetCpus"),
        cpuset_mems=text_of(host, "CpusetMems"),
        pids=-1 if pids < 0 else pids,
        shm_size=number_of(host, "ShmSize"),
        ulimits=tuple(
            Ulimit(text_of(item, "Name"), number_of(item, "Soft"), number_of(item, "Hard"))
            for item in host.get("Ulimits") or ()
        ),
        oom_score_adj=number_of(host, "OomScoreAdj") or None,
        cpu_period=number_of(host, "CpuPeriod"),
        cpu_quota=number_of(host, "CpuQuota"),
        cpu_rt_period=number_of(host, "CpuRealtimePeriod"),
        cpu_rt_runtime=number_of(host, "CpuRealtimeRuntime"),
        swappiness=swappiness if isinstance(swappiness, int) and swappiness != -1 else None,
        oom_kill_disable=bool(host.get("OomKillDisable")),
    )
    return checked(asked, Processors(_ANY_NUMBER))


def block_io(host: Fields) -> BlockIo:
    """Raises InvalidInput: a weight out of range, or what is no list of devices."""
    found = BlockIo(
        weight=number_of(host, "BlkioWeight"),
        weight_devices=_rates(host, "BlkioWeightDevice", "Weight"),
        read_bps=_rates(host, "BlkioDeviceReadBps", "Rate"),
        write_bps=_rates(host, "BlkioDeviceWriteBps", "Rate"),
        read_iops=_rates(host, "BlkioDeviceReadIOps", "Rate"),
        write_iops=_rates(host, "BlkioDeviceWriteIOps", "Rate"),
    )
    check_block_io(found)
    return found


def _rates(host: Fields, key: str, value: str) -> tuple[tuple[str, int], ...]:
    return tuple((text_of(item, "Path"), number_of(item, value)) for item in host.get(key) or ())


def devices(host: Fields) -> tuple[Device, ...]:
    """Raises InvalidInput: a path that leads astray, or an access that is none."""
    found = []
    for item in host.get("Devices") or ():
        outside, access = text_of(item, "PathOnHost"), text_of(item, "CgroupPermissions") or "rwm"
        inside = text_of(item, "PathInContainer") or outside
        for path in (outside, inside):
            if not path.startswith("/") or ".." in path.split("/") or "\0" in path:
                raise InvalidInput(f"invalid device: {path!r} is no plain absolute path")
        if set(access) - set("rwm"):
            raise InvalidInput(f"invalid device {outside}: the access {access!r} is not of r, w and m")
        found.append(Device(posixpath.normpath(outside), posixpath.normpath(inside), access))
    return tuple(found)


def device_rules(host: Fields) -> tuple[str, ...]:
    """Raises InvalidInput: it is no rule."""
    rules = list_of(host, "DeviceCgroupRules")
    for rule in rules:
        device_rule(rule)
    return rules


def cgroup_parent(host: Fields) -> str:
    """Raises InvalidInput: a path that leads out of its place."""
    parent = text_of(host, "CgroupParent")
    cgroups_path(parent, "id")
    return parent


def shared(host: Fields) -> Shared:
    """Raises InvalidInput: a mode that is none."""
    return Shared(
        pid=_mode(host, "PidMode", ("host",), joins=True),
        ipc=_mode(host, "IpcMode", ("host", "private", "shareable", "none"), joins=True),
        uts=_mode(host, "UTSMode", ("host",)),
        cgroup=_mode(host, "CgroupnsMode", ("host", "private")),
    )


def _mode(host: Fields, key: str, words: tuple[str, ...], *, joins: bool = False) -> str:
    mode = text_of(host, key)
    if mode in ("", *words) or (joins and mode.startswith("container:") and mode != "container:"):
        return mode
    if mode == "private":
        return ""
    raise InvalidInput(f"invalid {key}: {mode!r}", remedy=f"There are {', '.join(words)}.")


def security(host: Fields) -> Security:
    """Raises InvalidInput: no profile. NotThereYet: an option that Estiba has not."""
    found = Security(
        cap_add=list_of(host, "CapAdd"),
        cap_drop=list_of(host, "CapDrop"),
        privileged=bool(host.get("Privileged")),
        read_only=bool(host.get("ReadonlyRootfs")),
    )
    for option in list_of(host, "SecurityOpt"):
        name, _, value = option.replace(":", "=", 1).partition("=")
        if name == "seccomp" and value in ("unconfined", "builtin"):
            found = found._replace(seccomp="unconfined" if value == "unconfined" else "default")
        elif name == "seccomp":
            parsed(value)  # the command sends the text of the file
            found = found._replace(seccomp=value)
        elif name == "no-new-privileges" and value in ("", "true", "false"):
            found = found._replace(allow_new_privileges=value == "false")
        elif name == "systempaths" and value == "unconfined":
            found = found._replace(shows_system_paths=True)
        elif option not in ("apparmor=unconfined", "label=disable"):
            raise NotThereYet(f"the security option {option[:60]!r} is not there yet")
    if host.get("MaskedPaths") == [] and host.get("ReadonlyPaths") == []:  # how the command says systempaths=unconfined
        found = found._replace(shows_system_paths=True)
    return found


def health(check: Fields) -> Health:
    """Raises InvalidInput: a negative number, or a time of less than a millisecond."""
    found = Health(
        test=list_of(check, "Test"),
        interval=number_of(check, "Interval"),
        timeout=number_of(check, "Timeout"),
        start_period=number_of(check, "StartPeriod"),
        start_interval=number_of(check, "StartInterval"),
        retries=number_of(check, "Retries"),
    )
    times = (found.interval, found.timeout, found.start_period, found.start_interval)
    if min(*times, found.retries) < 0:
        raise InvalidInput("the numbers of a health check cannot be negative")
    if any(0 < time < _MILLISECOND for time in times):
        raise InvalidInput("the times of a health check cannot be less than a millisecond")
    return found


def with_users(options: ContainerOptions, mode: str) -> ContainerOptions:
    """The same with the ids of UsernsMode, in Podman's words.

    Raises:
        InvalidInput: there is no such mode.
    """
    return options if mode in ("", "private") else options.with_users(parse_users(mode))
