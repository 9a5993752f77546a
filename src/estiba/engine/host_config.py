"""What a user asked of a container, under the names of Docker's Engine API (ContainerInspect, HostConfig). Pure."""

from __future__ import annotations

from estiba.engine.spec import DEFAULT_PIDS
from estiba.oci import json_text
from estiba.runtime.spec import MASKED_PATHS, READONLY_PATHS
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.options import BlockIo, ContainerOptions, Limits, Security, Shared, VolumeMount
    from estiba.engine.records import ContainerRecord

Json = dict[str, object]

_PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")


def host_config(options: ContainerOptions, record: ContainerRecord) -> Json:
    """The `HostConfig` of a container."""
    naming, security = options.naming, options.security
    mounts = options.mounts[options.inherited :]
    return {
        "Binds": [_bind(mount) for mount in mounts if _is_short(mount)] or None,
        "ContainerIDFile": "",
        "LogConfig": {
            "Type": options.logs.driver,
            "Config": {"max-size": str(options.logs.size), "max-file": str(options.logs.files)},
        },
        "NetworkMode": options.network,
        "PortBindings": _asked_ports(options),
        "PublishAllPorts": options.publish_all,
        "RestartPolicy": {"Name": options.restart.name, "MaximumRetryCount": options.restart.maximum},
        "AutoRemove": options.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": list(options.volumes_from) or None,
        "Annotations": dict(options.annotations) or None,
        "CapAdd": list(security.cap_add) or None,
        "CapDrop": list(security.cap_drop) or None,
        "Dns": list(naming.dns),
        "DnsOptions": list(naming.dns_options),
        "DnsSearch": list(naming.dns_search),
        "ExtraHosts": [f"{name}:{address}" for name, address in naming.add_hosts] or None,
        "GroupAdd": list(options.groups) or None,
        "UsernsMode": options.userns,
        "Links": [f"/{name}:/{record.name}/{alias}" for name, alias in options.links] or None,
        "Privileged": security.privileged,
        "ReadonlyRootfs": security.read_only,
        "SecurityOpt": _security_options(security) or None,
        "StorageOpt": dict(options.storage) or None,
        "Tmpfs": {m.target: ",".join(m.options) for m in mounts if m.kind == "tmpfs"} or None,
        "Mounts": [_mount(m) for m in mounts if m.kind != "tmpfs" and not _is_short(m)] or None,
        "Sysctls": dict(options.sysctls) or None,
        "Init": options.init or None,
        "Runtime": _runtime(record),
        "Isolation": "",
        "MaskedPaths": None if _shows_all(security) else list(MASKED_PATHS),
        "ReadonlyPaths": None if _shows_all(security) else list(READONLY_PATHS),
        **_shared(options.shared),
        **_limits(options.limits),
        **_block_io(options.block_io),
        "CgroupParent": options.cgroup_parent,
        "Devices": [
            {"PathOnHost": d.host, "PathInContainer": d.container, "CgroupPermissions": d.access}
            for d in options.devices
        ],
        "DeviceCgroupRules": list(options.device_rules) or None,
        "DeviceRequests": None,
    }


def propagation_of(mount: VolumeMount) -> str:
    """How the mounts of a bind travel, in Docker's words."""
    return next((option for option in mount.options if option in _PROPAGATIONS), "rprivate")


def _shared(shared: Shared) -> Json:
    return {
        "PidMode": shared.pid,
        "IpcMode": shared.ipc or "private",
        "UTSMode": shared.uts,
        "CgroupnsMode": shared.cgroup or "private",
    }


def _limits(limits: Limits) -> Json:
    return {
        "ShmSize": limits.shm_size or 64 << 20,
        "Memory": limits.memory,
        "MemorySwap": limits.memory_swap or limits.memory * 2,
        "MemoryReservation": limits.memory_reservation,
        "MemorySwappiness": limits.swappiness,
        "OomKillDisable": limits.oom_kill_disable,
        "NanoCpus": limits.nano_cpus,
        "CpuShares": limits.cpu_shares,
        "CpuPeriod": limits.cpu_period,
        "CpuQuota": limits.cpu_quota,
        "CpuRealtimePeriod": limits.cpu_rt_period,
        "CpuRealtimeRuntime": limits.cpu_rt_runtime,
        "CpusetCpus": limits.cpuset_cpus,
        "CpusetMems": limits.cpuset_mems,
        "PidsLimit": limits.pids or DEFAULT_PIDS,
        "OomScoreAdj": limits.oom_score_adj or 0,
        "Ulimits": [{"Name": u.name, "Soft": u.soft, "Hard": u.hard} for u in limits.ulimits] or None,
    }


def _block_io(block_io: BlockIo) -> Json:
    def rates(entries: tuple[tuple[str, int], ...], word: str = "Rate") -> list[Json]:
        return [{"Path": path, word: number} for path, number in entries]

    return {
        "BlkioWeight": block_io.weight,
        "BlkioWeightDevice": rates(block_io.weight_devices, "Weight"),
        "BlkioDeviceReadBps": rates(block_io.read_bps),
        "BlkioDeviceWriteBps": rates(block_io.write_bps),
        "BlkioDeviceReadIOps": rates(block_io.read_iops),
        "BlkioDeviceWriteIOps": rates(block_io.write_iops),
    }


def _shows_all(security: Security) -> bool:
    return security.privileged or security.shows_system_paths


def _security_options(security: Security) -> list[str]:
    found = []
    if security.seccomp == "unconfined":
        found.append("seccomp=unconfined")
    elif security.seccomp != "default":
        # As Docker shows it: the profile itself, on one line.
        found.append("seccomp=" + json_text.dumps(json_text.loads(security.seccomp, what="the seccomp profile")))
    if security.allow_new_privileges:
        found.append("no-new-privileges=false")
    if security.shows_system_paths:
        found.append("systempaths=unconfined")
    return found


def _runtime(record: ContainerRecord) -> str:
    if not record.runtime:
        return "estiba"
    command = json_text.loads(record.runtime, what="the runtime of a container's record")
    return str(command[0]).rpartition("/")[2]


def _is_short(mount: VolumeMount) -> bool:
    """Whether ``-v`` says all of it: then Docker has it among the binds, and else among the mounts."""
    if mount.kind == "bind":
        return mount.make_source and "rbind" in mount.options and not mount.only_top_read_only
    return mount.kind == "volume" and bool(mount.source) and not (mount.subpath or mount.labels)


def _mount(mount: VolumeMount) -> Json:
    found: Json = {"Type": mount.kind, "Source": mount.source, "Target": mount.target}
    if mount.read_only:
        found["ReadOnly"] = True
    if mount.kind == "bind":
        settings: Json = {"Propagation": propagation_of(mount)}
        settings |= {"NonRecursive": True} if "bind" in mount.options else {}
        settings |= {"ReadOnlyNonRecursive": True} if mount.only_top_read_only else {}
        return found | {"BindOptions": settings}
    settings = {} if mount.copy_up else {"NoCopy": True}
    settings |= {"Subpath": mount.subpath} if mount.subpath else {}
    settings |= {"Labels": dict(mount.labels)} if mount.labels else {}
    return found | ({"VolumeOptions": settings} if settings else {})


def _asked_ports(options: ContainerOptions) -> Json:
    asked: dict[str, object] = {}
    for port in options.ports:
        found = asked.setdefault(f"{port.container_port}/{port.protocol}", [])
        assert isinstance(found, list)
        found.append({"HostIp": port.host_address, "HostPort": str(port.host_port or "")})
    return asked


def _bind(mount: VolumeMount) -> str:
    words = [option for option in mount.options if option in _PROPAGATIONS] + (["ro"] if mount.read_only else [])
    return f"{mount.source}:{mount.target}" + (f":{','.join(words)}" if words else "")
