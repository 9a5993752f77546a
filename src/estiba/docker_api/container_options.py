"""The body of "Create a container" → `ContainerOptions`. Pure. What Estiba lacks is refused by its name.

Docker Engine API, ContainerConfig, HostConfig and NetworkingConfig.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from estiba.docker_api import host_options
from estiba.docker_api.fields import Fields, list_of, number_of, object_of, pairs_of, text_of, words_of
from estiba.engine.mount_syntax import checked_target, checked_volume_name, parse_tmpfs, parse_volume
from estiba.engine.options import (
    ContainerOptions,
    LogOptions,
    Membership,
    Naming,
    VolumeMount,
)
from estiba.engine.quantities import parse_size
from estiba.engine.restart_policy import RestartPolicy
from estiba.engine.updating import Changes
from estiba.errors import InvalidInput, NotThereYet
from estiba.networks.ports import PortMapping, parse_port

# Fields of HostConfig that Estiba has not: name -> values that mean nothing.
_NOTHING: tuple[object, ...] = (None, 0, "", False, -1, [], {})
_MISSING = ("DeviceRequests", "KernelMemory", "KernelMemoryTCP")
_WORDS = {"Isolation": ("", "default"), "VolumeDriver": ("", "local")}
_STANDARD_RUNTIMES = ("", "estiba", "runc", "io.containerd.runc.v2")


def container_options(body: Fields, *, name: str, platform: str = "") -> ContainerOptions:
    """What the body asks for.

    Raises:
        InvalidInput: a value that cannot be. NotThereYet: what Estiba has not yet.
    """
    host = object_of(body, "HostConfig")
    _refuse_what_is_missing(body, host)
    image = text_of(body, "Image")
    if not image:
        raise InvalidInput("no image was given: Config.Image is empty")
    first, *others = _memberships(body, host)
    options = ContainerOptions(
        image=image,
        command=words_of(body, "Cmd") or None,
        entrypoint=_entrypoint(body),
        name=name.removeprefix("/"),
        env=list_of(body, "Env"),
        labels=pairs_of(body, "Labels"),
        user=text_of(body, "User"),
        groups=list_of(host, "GroupAdd"),
        working_dir=text_of(body, "WorkingDir"),
        tty=bool(body.get("Tty")),
        interactive=bool(body.get("OpenStdin")),
        auto_remove=bool(host.get("AutoRemove")),
        init=bool(host.get("Init")),
        mounts=tuple(_mounts(body, host)),
        ports=tuple(_ports(host)),
        publish_all=bool(host.get("PublishAllPorts")),
        expose=tuple(object_of(body, "ExposedPorts")),
        network=first.network,
        aliases=first.aliases,
        address=first.address,
        mac_address=first.mac_address,
        networks=tuple(others),
        naming=Naming(
            hostname=text_of(body, "Hostname"),
            domainname=text_of(body, "Domainname"),
            dns=list_of(host, "Dns"),
            dns_search=list_of(host, "DnsSearch"),
            dns_options=list_of(host, "DnsOptions"),
            add_hosts=tuple(_extra_hosts(list_of(host, "ExtraHosts"))),
        ),
        limits=host_options.limits(host),
        block_io=host_options.block_io(host),
        devices=host_options.devices(host),
        device_rules=host_options.device_rules(host),
        shared=host_options.shared(host),
        cgroup_parent=host_options.cgroup_parent(host),
        security=host_options.security(host),
        health=host_options.health(object_of(body, "Healthcheck")),
        volumes_from=list_of(host, "VolumesFrom"),
        links=tuple(_links(list_of(host, "Links"))),
        storage=pairs_of(host, "StorageOpt"),
        runtime="" if text_of(host, "Runtime") in _STANDARD_RUNTIMES else text_of(host, "Runtime"),
        sysctls=pairs_of(host, "Sysctls"),
        restart=_restart(host),
        stop_signal=text_of(body, "StopSignal"),
        stop_timeout=body.get("StopTimeout"),
        logs=_logs(object_of(host, "LogConfig")),
        platform=platform,
        annotations=pairs_of(host, "Annotations"),
    )
    if options.auto_remove and options.restart.name != "no":
        raise InvalidInput("can't create 'AutoRemove' container with restart policy")
    return host_options.with_users(options, text_of(host, "UsernsMode"))


def changes_of(body: Fields) -> Changes:
    """The body of "Update a container".

    Raises:
        InvalidInput: a value that cannot be.
    """
    restart = _restart(body) if body.get("RestartPolicy") and object_of(body, "RestartPolicy").get("Name") else None
    return Changes(host_options.limits(body), number_of(body, "BlkioWeight"), restart)


def _refuse_what_is_missing(body: Fields, host: Fields) -> None:
    for key in _MISSING:
        if host.get(key) not in _NOTHING:
            raise NotThereYet(f"HostConfig.{key} is not there yet", remedy="SCOPE.md tells what comes next.")
    for key, words in _WORDS.items():
        if text_of(host, key) not in words:
            raise NotThereYet(f"HostConfig.{key} {host[key]!r} is not there yet", remedy=f"There is: {words[1]}.")


def _entrypoint(body: Fields) -> tuple[str, ...] | None:
    """None takes the image's; ``[""]`` is how the docker command resets it."""
    if body.get("Entrypoint") is None:
        return None
    words = words_of(body, "Entrypoint")
    if words == ("",):
        return ()
    return words or None


def _mounts(body: Fields, host: Fields) -> Iterator[VolumeMount]:
    taken: set[str] = set()
    found = [parse_volume(text, current_directory="/") for text in list_of(host, "Binds")]
    found += [_mount(value) for value in host.get("Mounts") or ()]
    found += [
        parse_tmpfs(f"{target}:{options}" if options else target)
        for target, options in object_of(host, "Tmpfs").items()
    ]
    for mount in found:
        if mount.target in taken:
            raise InvalidInput(f"Duplicate mount point: {mount.target}")
        taken.add(mount.target)
        yield mount
    for target in object_of(body, "Volumes"):
        clean = checked_target(target, target)
        if clean not in taken:
            yield VolumeMount("volume", clean)


def _mount(value: Fields) -> VolumeMount:
    kind, source, target = text_of(value, "Type") or "volume", text_of(value, "Source"), text_of(value, "Target")
    target = checked_target(target, f"type={kind},target={target}")
    read_only = bool(value.get("ReadOnly"))
    if kind == "bind":
        options = object_of(value, "BindOptions")
        if not source.startswith("/"):
            raise InvalidInput(f"invalid mount of {target}: the source {source!r} is not an absolute path")
        propagation = text_of(options, "Propagation")
        words = ("bind" if options.get("NonRecursive") else "rbind", *((propagation,) if propagation else ()))
        return VolumeMount(
            kind,
            target,
            source,
            read_only,
            words,
            make_source=bool(options.get("CreateMountpoint")),
            only_top_read_only=bool(options.get("ReadOnlyNonRecursive")),
        )
    if kind == "volume":
        options = object_of(value, "VolumeOptions")
        if text_of(object_of(options, "DriverConfig"), "Name") not in ("", "local"):
            raise NotThereYet(f"the mount of {target}: drivers of volumes are not there yet", remedy="There is local.")
        name = checked_volume_name(source) if source else ""
        return VolumeMount(
            kind,
            target,
            name,
            read_only,
            copy_up=not options.get("NoCopy"),
            subpath=text_of(options, "Subpath"),
            labels=pairs_of(options, "Labels"),
        )
    if kind == "tmpfs":
        options = object_of(value, "TmpfsOptions")
        size, mode = options.get("SizeBytes"), options.get("Mode")
        words = (*((f"size={size}",) if size else ()), *((f"mode={mode:o}",) if mode else ()))
        return VolumeMount(kind, target, "", read_only, words)
    raise NotThereYet(f"mounts of type {kind!r} are not there yet", remedy="Types are bind, volume and tmpfs.")


def _ports(host: Fields) -> Iterator[PortMapping]:
    for inside, bindings in object_of(host, "PortBindings").items():
        asked: list[Fields] = bindings or [{}]
        for binding in asked:
            address, port = text_of(binding, "HostIp"), text_of(binding, "HostPort")
            port = "" if port == "0" else port  # a free one, in both spellings
            if address in ("::", "[::]"):
                continue  # networks are IPv4: what everybody may reach there is bound by 0.0.0.0
            yield from parse_port(f"{address}:{port}:{inside}" if address else f"{port}:{inside}")


def membership_of(network: str, endpoint: Any) -> Membership:
    """A network with what EndpointSettings say of the container in it.

    Raises:
        InvalidInput: no such settings. NotThereYet: ones that Estiba has not.
    """
    fields: Fields = endpoint if isinstance(endpoint, dict) else {}
    for key in ("Links", "DriverOpts"):
        if fields.get(key) not in _NOTHING:
            raise NotThereYet(f"EndpointsConfig.{key} is not there yet")
    addresses = object_of(fields, "IPAMConfig")
    for key in ("IPv6Address", "LinkLocalIPs"):
        if addresses.get(key) not in _NOTHING:
            raise NotThereYet(f"EndpointsConfig.IPAMConfig.{key} is not there yet")
    aliases = list_of(fields, "Aliases")
    return Membership(network, aliases, text_of(addresses, "IPv4Address"), text_of(fields, "MacAddress"))


def _memberships(body: Fields, host: Fields) -> tuple[Membership, ...]:
    """The network of the container's mode first; one is enough."""
    mode = text_of(host, "NetworkMode")
    named = object_of(object_of(body, "NetworkingConfig"), "EndpointsConfig")
    found = [membership_of("bridge" if name == "default" else name, endpoint) for name, endpoint in named.items()]
    if mode in ("", "default"):
        mode = found[0].network if found else "bridge"
    first = next((one for one in found if one.network == mode), Membership(mode))
    if not first.mac_address:
        first = first._replace(mac_address=text_of(body, "MacAddress"))
    return (first, *(one for one in found if one.network != mode))


def _restart(host: Fields) -> RestartPolicy:
    policy = object_of(host, "RestartPolicy")
    name, maximum = text_of(policy, "Name") or "no", number_of(policy, "MaximumRetryCount")
    if maximum and name != "on-failure":
        raise InvalidInput(f"invalid restart policy: maximum retry count cannot be used with restart policy {name!r}")
    return RestartPolicy.parse(f"{name}:{maximum}" if maximum else name)


def _logs(config: Fields) -> LogOptions:
    logs = LogOptions(driver=text_of(config, "Type") or "json-file")
    if logs.driver not in ("json-file", "local", "none"):
        remedy = "Drivers are json-file, local and none."
        raise NotThereYet(f"the log driver {logs.driver} is not there yet", remedy=remedy)
    if logs.driver == "local":
        logs = logs._replace(size=20 << 20, files=5)
    for name, value in object_of(config, "Config").items():
        if name == "max-size":
            size = -1 if value == "-1" else parse_size(str(value), what="max-size")
            logs = logs._replace(size=size if size > 0 else 1 << 62)
        elif name == "max-file":
            logs = logs._replace(files=max(1, int(value)) if str(value).isdigit() else 1)
        elif (name, value) not in (("compress", "false"), ("mode", "blocking")):
            raise NotThereYet(f"the log option {name} is not there yet", remedy="Options are max-size and max-file.")
    return logs


def _links(entries: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        name, colon, alias = entry.partition(":")
        yield name.removeprefix("/"), (alias if colon else name).rpartition("/")[2]


def _extra_hosts(entries: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        name, colon, address = entry.partition(":")
        if not colon or not name or not address:
            raise InvalidInput(f"invalid extra host {entry!r}: NAME:ADDRESS is needed")
        yield name, address.strip("[]")
