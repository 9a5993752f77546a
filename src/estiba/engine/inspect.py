"""All about a container, a volume or a network in the shape of Docker's Engine API (ContainerInspect and the like)."""

from __future__ import annotations

import time

from estiba.engine import health_file, lifecycle
from estiba.engine.host_config import host_config, propagation_of
from estiba.engine.paths import volume_data
from estiba.engine.records import Joined
from estiba.oci.digest import Digest
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.engine import Engine
    from estiba.engine.options import ContainerOptions
    from estiba.engine.records import ContainerRecord, Networking
    from estiba.engine.spec import Process
    from estiba.engine.volumes import Volume
    from estiba.networks.definitions import NetworkRecord
    from estiba.networks.endpoints import Endpoint
    from estiba.oci.image_config import RunConfig

Json = dict[str, object]

_NEVER = "0001-01-01T00:00:00Z"


def inspect_container(engine: Engine, text: str) -> Json:
    """Everything about the container `text`.

    Raises:
        NoSuchContainer.
    """
    record = engine.find(text)
    options, process, networking = record.parsed_options(), record.parsed_process(), record.parsed_network()
    paths = engine.paths(record.id)
    return {
        "Id": record.id,
        "Created": _time(record.created),
        "Path": process.args[0],
        "Args": list(process.args[1:]),
        "State": {**_state(record), **_health_state(engine, record)},
        "Image": record.image_id,
        "ResolvConfPath": paths.resolv_conf,
        "HostnamePath": paths.hostname,
        "HostsPath": paths.hosts,
        "LogPath": paths.log if options.logs.driver != "none" else "",
        "Name": f"/{record.name}",
        "RestartCount": record.restarts,
        "Driver": engine.store.snapshots.kind,
        "Platform": "linux",
        "MountLabel": options.security.mount_label,
        "ProcessLabel": options.security.process_label,
        "AppArmorProfile": options.security.apparmor,
        "ExecIDs": None,
        "HostConfig": host_config(options, record),
        "GraphDriver": {"Name": engine.store.snapshots.kind, "Data": None},
        "Mounts": _mounts(engine, record, options),
        "Config": _config(record, options, process, engine.store.images.config(Digest.parse(record.image_id)).run),
        "NetworkSettings": _network_settings(record, options, networking),
    }


def inspect_volume(volume: Volume) -> Json:
    """Everything about a volume."""
    return {
        "CreatedAt": _time(volume.created),
        "Driver": "local",
        "Labels": dict(volume.labels) or None,
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Options": None,
        "Scope": "local",
    }


def inspect_network(engine: Engine, record: NetworkRecord) -> Json:
    """Everything about a network, with the containers that are in it."""
    members = engine.networks_at(engine.run).endpoints(record.name)
    return network_summary(record) | {"Containers": {key: _member(engine, key, one) for key, one in members.items()}}


def network_summary(record: NetworkRecord) -> Json:
    """A network as lists show it, without its containers."""
    return {
        "Name": record.name,
        "Id": record.id,
        "Created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
        "Scope": "local",
        "Driver": record.driver,
        "EnableIPv4": True,
        "EnableIPv6": False,
        "IPAM": {
            "Driver": "default",
            "Options": None,
            "Config": [{"Subnet": record.subnet, "Gateway": record.gateway}] if record.subnet else [],
        },
        "Internal": record.internal,
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {},
        "Options": {"com.docker.network.bridge.name": record.device} if record.device else {},
        "Labels": dict(record.labels),
    }


def _member(engine: Engine, container_id: str, endpoint: Endpoint) -> Json:
    container = engine.containers.get(container_id)
    return {
        "Name": container.name if container else endpoint.hostname,
        "EndpointID": _endpoint_id(container_id, endpoint.network),
        "MacAddress": endpoint.mac,
        "IPv4Address": f"{endpoint.address}/{endpoint.prefix}",
        "IPv6Address": "",
    }


def _state(record: ContainerRecord) -> Json:
    status = lifecycle.CREATED if record.state == lifecycle.STARTING else record.state
    return {
        "Status": status,
        "Running": record.state in (lifecycle.RUNNING, lifecycle.PAUSED, lifecycle.RESTARTING),
        "Paused": record.state == lifecycle.PAUSED,
        "Restarting": record.state == lifecycle.RESTARTING,
        "OOMKilled": record.oom_killed,
        "Dead": record.state == lifecycle.DEAD,
        "Pid": record.pid,
        "ExitCode": record.exit_code,
        "Error": record.error,
        "StartedAt": _time(record.started),
        "FinishedAt": _time(record.finished),
    }


def _health_state(engine: Engine, record: ContainerRecord) -> Json:
    found = health_file.of(engine, record)
    if found is None:
        return {}
    log = [
        {"Start": _time(one.start), "End": _time(one.end), "ExitCode": one.exit_code, "Output": one.output}
        for one in found.log
    ]
    return {"Health": {"Status": found.status, "FailingStreak": found.streak, "Log": log}}


def _config(record: ContainerRecord, options: ContainerOptions, process: Process, image: RunConfig) -> Json:
    command, entrypoint = options.command, options.entrypoint
    if command is None and entrypoint is None:
        command = image.cmd
    if entrypoint is None:
        entrypoint = image.entrypoint
    return {
        "Hostname": options.naming.hostname or record.id[:12],
        "Domainname": options.naming.domainname,
        "User": process.user,
        "AttachStdin": options.interactive and _attaches(options, "stdin"),
        "AttachStdout": _attaches(options, "stdout"),
        "AttachStderr": _attaches(options, "stderr"),
        "ExposedPorts": {_with_protocol(port): {} for port in process.exposed_ports},
        "Tty": options.tty,
        "OpenStdin": options.interactive,
        "StdinOnce": options.interactive,
        "Env": list(process.env),
        "Cmd": list(command) if command else None,
        "Image": record.image,
        "Volumes": {volume: {} for volume in process.volumes} or None,
        "WorkingDir": process.working_dir,
        "Entrypoint": list(entrypoint) if entrypoint else None,
        "Labels": dict(process.labels),
        "StopSignal": process.stop_signal,
        "StopTimeout": options.stop_timeout,
        "MacAddress": options.mac_address,
        **({"Healthcheck": _health(options)} if options.health.is_asked else {}),
    }


def _attaches(options: ContainerOptions, stream: str) -> bool:
    return not options.attached or stream in options.attached


def _health(options: ContainerOptions) -> Json:
    health = options.health
    return {
        "Test": list(health.test),
        "Interval": health.interval,
        "Timeout": health.timeout,
        "StartPeriod": health.start_period,
        "StartInterval": health.start_interval,
        "Retries": health.retries,
    }


def _mounts(engine: Engine, record: ContainerRecord, options: ContainerOptions) -> list[Json]:
    by_target = {mount.target: mount for mount in options.mounts}
    mounts: list[Json] = []
    for name, target in engine.containers.volumes_of(record.id):
        asked = by_target.get(target)
        mounts.append(
            {
                "Type": "volume",
                "Name": name,
                "Source": volume_data(engine.store.paths.root, name),
                "Destination": target,
                "Driver": "local",
                "Mode": "",
                "RW": not (asked and asked.read_only),
                "Propagation": "",
            }
        )
    for mount in options.mounts:
        if mount.kind != "volume":
            mounts.append(
                {
                    "Type": mount.kind,
                    "Source": mount.source,
                    "Destination": mount.target,
                    "Mode": "",
                    "RW": not mount.read_only,
                    "Propagation": propagation_of(mount) if mount.kind == "bind" else "",
                }
            )
    return mounts


def _network_settings(record: ContainerRecord, options: ContainerOptions, networking: Networking) -> Json:
    ports: dict[str, object] = {}
    for inside, outside in networking.ports:
        address, _, number = outside.rpartition(":")
        found = ports.setdefault(inside, [])
        assert isinstance(found, list)
        found.append({"HostIp": address, "HostPort": number})
    first = {
        "Gateway": networking.gateway,
        "IPAddress": networking.address,
        "IPPrefixLen": networking.prefix,
        "MacAddress": networking.mac,
    }
    return {"Ports": ports, **first, "Networks": networks_of(record, options, networking)}


def networks_of(record: ContainerRecord, options: ContainerOptions, networking: Networking) -> Json:
    """The container's networks by name (EndpointSettings): as they are while it runs, else as they will be."""
    found = {one.network: _endpoint(record, one) for one in networking.all()}
    for one in options.memberships():
        if one.network not in found and not networking.network:
            found[one.network] = _endpoint(record, Joined(one.network, "", 0, "", one.mac_address, one.aliases))
    if not found and options.network:
        found[options.network] = _endpoint(record, Joined(options.network, "", 0, "", ""))
    return dict(found)


def _endpoint(record: ContainerRecord, joined: Joined) -> Json:
    has_names = joined.network not in ("bridge", "host", "none")
    return {
        "Aliases": list(joined.aliases) or None,
        "DNSNames": [record.name, *joined.aliases, record.id[:12]] if has_names else None,
        "EndpointID": _endpoint_id(record.id, joined.network) if joined.address else "",
        "Gateway": joined.gateway,
        "IPAddress": joined.address,
        "IPPrefixLen": joined.prefix,
        "MacAddress": joined.mac,
        "NetworkID": "",
        "Links": None,
        "DriverOpts": None,
        "IPAMConfig": None,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
    }


def _endpoint_id(container_id: str, network: str) -> str:
    return Digest.of(f"{container_id}\0{network}".encode()).hex


def _with_protocol(port: str) -> str:
    return port if "/" in port else f"{port}/tcp"


def _time(seconds: float) -> str:
    if not seconds:
        return _NEVER
    whole = int(seconds)
    nanoseconds = int((seconds - whole) * 1e9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{nanoseconds:09d}Z"
