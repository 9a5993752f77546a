"""What HostConfig asks of the machine: limits, devices, namespaces that are shared, rights. Pure."""

from __future__ import annotations

from estiba.docker_api.fields import (
    Fields,
    flag_of,
    list_of,
    number_of,
    objects_of,
    optional_number_of,
    text_of,
)
from estiba.engine.limit_checks import Processors, check_block_io, checked
from estiba.engine.option_checks import device, mode
from estiba.engine.options import BlockIo, ContainerOptions, Device, Health, Limits, Security, Shared, Ulimit
from estiba.engine.security_options import with_options
from estiba.engine.spec import cgroups_path, device_rule
from estiba.engine.userns import parse_users
from estiba.errors import InvalidInput, NotThereYet
from estiba.runtime.spec import MASKED_PATHS, READONLY_PATHS

_MILLISECOND = 10**6  # in nanoseconds
_ANY_NUMBER = 1 << 16  # of processors: how many there are is seen when the container is made


def limits(host: Fields) -> Limits:
    """Raises InvalidInput: a limit that cannot be kept, or two that contradict each other."""
    return checked(asked_limits(host), Processors(_ANY_NUMBER))


def asked_limits(host: Fields) -> Limits:
    """The limits as they are written: what is not there may be the container's already. Raises InvalidInput."""
    pids, swappiness = number_of(host, "PidsLimit"), optional_number_of(host, "MemorySwappiness")
    return Limits(
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
            for item in objects_of(host, "Ulimits")
        ),
        oom_score_adj=number_of(host, "OomScoreAdj") or None,
        cpu_period=number_of(host, "CpuPeriod"),
        cpu_quota=number_of(host, "CpuQuota"),
        cpu_rt_period=number_of(host, "CpuRealtimePeriod"),
        cpu_rt_runtime=number_of(host, "CpuRealtimeRuntime"),
        swappiness=None if swappiness == -1 else swappiness,
        oom_kill_disable=flag_of(host, "OomKillDisable"),
    )


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
    return tuple((text_of(item, "Path"), number_of(item, value)) for item in objects_of(host, key))


def devices(host: Fields) -> tuple[Device, ...]:
    """Raises InvalidInput: a path that leads astray, or an access that is none."""
    return tuple(
        device(text_of(item, "PathOnHost"), text_of(item, "PathInContainer"), text_of(item, "CgroupPermissions"))
        for item in objects_of(host, "Devices")
    )


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
    text = text_of(host, key)
    return "" if text == "private" and text not in words else mode(key, text, words, joins=joins)


def security(host: Fields) -> Security:
    """The docker command sends the text of a seccomp profile, not the name of its file.

    Raises:
        InvalidInput: no profile. NotThereYet: an option that Estiba has not.
    """
    asked = Security(
        cap_add=list_of(host, "CapAdd"),
        cap_drop=list_of(host, "CapDrop"),
        privileged=flag_of(host, "Privileged"),
        read_only=flag_of(host, "ReadonlyRootfs"),
    )
    found = with_options(asked, list_of(host, "SecurityOpt"), profile=str)
    return found._replace(shows_system_paths=True) if _shows_system_paths(host) else found


def _shows_system_paths(host: Fields) -> bool:
    """Empty lists are how the docker command says ``systempaths=unconfined``."""
    shown = []
    for key, usual in (("MaskedPaths", MASKED_PATHS), ("ReadonlyPaths", READONLY_PATHS)):
        paths = list_of(host, key)
        if host.get(key) is not None and paths and set(paths) != set(usual):
            raise NotThereYet(f"{key} of one's own are not there yet", remedy="Leave it out, or give no path at all.")
        shown.append(host.get(key) is not None and not paths)
    if any(shown) and not all(shown):
        raise NotThereYet(
            "MaskedPaths without ReadonlyPaths are not there yet", remedy="Give both lists without a path."
        )
    return all(shown)


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
