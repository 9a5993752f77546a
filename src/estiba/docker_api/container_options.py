"""The body of "Create a container" → `ContainerOptions`. Pure. What Estiba lacks is refused by its name.

Docker Engine API, ContainerConfig, HostConfig and NetworkingConfig.
"""

from __future__ import annotations

from collections.abc import Iterator

from estiba.docker_api import host_options
from estiba.docker_api.fields import (
    Fields,
    flag_of,
    list_of,
    number_of,
    object_in,
    object_of,
    objects_of,
    optional_number_of,
    pairs_of,
    text_of,
    words_of,
)
from estiba.engine import option_checks
from estiba.engine.log_options import log_options
from estiba.engine.mount_syntax import checked_target, checked_volume_name, parse_tmpfs, parse_volume
from estiba.engine.options import ContainerOptions, LogOptions, Membership, Naming, VolumeMount
from estiba.engine.restart_policy import RestartPolicy
from estiba.engine.updating import Changes
from estiba.errors import InvalidInput, NotThereYet
from estiba.linux.signals import parse_signal
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
        working_dir=option_checks.working_directory(text_of(body, "WorkingDir")),
        tty=flag_of(body, "Tty"),
        interactive=flag_of(body, "OpenStdin"),
        auto_remove=flag_of(host, "AutoRemove"),
        init=flag_of(host, "Init"),
        mounts=tuple(_mounts(body, host)),
        ports=tuple(_ports(host)),
        publish_all=flag_of(host, "PublishAllPorts"),
        expose=option_checks.exposed(object_of(body, "ExposedPorts")),
        network=first.network,
        aliases=first.aliases,
        address=first.address,
        mac_address=first.mac_address,
        networks=tuple(others),
        naming=Naming(
            hostname=option_checks.hostname(text_of(body, "Hostname")),
            domainname=option_checks.hostname(text_of(body, "Domainname"), what="domain name"),
            dns=tuple(option_checks.address(text) for text in list_of(host, "Dns")),
            dns_search=list_of(host, "DnsSearch"),
            dns_options=list_of(host, "DnsOptions"),
            add_hosts=tuple(option_checks.host_line(text) for text in list_of(host, "ExtraHosts")),
        ),
        limits=host_options.limits(host),
        block_io=host_options.block_io(host),
        devices=host_options.devices(host),
        device_rules=host_options.device_rules(host),
        shared=host_options.shared(host),
        cgroup_parent=host_options.cgroup_parent(host),
        security=host_options.security(host),
        health=host_options.health(object_of(body, "Healthcheck")),
        volumes_from=option_checks.volumes_from(list_of(host, "VolumesFrom")),
        links=tuple(_links(list_of(host, "Links"))),
        storage=option_checks.storage(pairs_of(host, "StorageOpt")),
        runtime="" if text_of(host, "Runtime") in _STANDARD_RUNTIMES else text_of(host, "Runtime"),
        sysctls=pairs_of(host, "Sysctls"),
        restart=_restart(host),
        stop_signal=_signal(text_of(body, "StopSignal")),
        stop_timeout=optional_number_of(body, "StopTimeout"),
        logs=_logs(object_of(host, "LogConfig")),
        platform=platform,
        annotations=pairs_of(host, "Annotations"),
    )
    option_checks.check_own_name(
        shares_name=options.shared.uts == "host", name=options.naming.hostname, domain=options.naming.domainname
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
    return Changes(host_options.asked_limits(body), number_of(body, "BlkioWeight"), restart)


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
    found += [_mount(value) for value in objects_of(host, "Mounts")]
    found += [parse_tmpfs(f"{target}:{options}" if options else target) for target, options in pairs_of(host, "Tmpfs")]
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
    read_only = flag_of(value, "ReadOnly")
    if kind == "bind":
        options = object_of(value, "BindOptions")
        if not source.startswith("/"):
            raise InvalidInput(f"invalid mount of {target}: the source {source!r} is not an absolute path")
        propagation = text_of(options, "Propagation")
        words = ("bind" if flag_of(options, "NonRecursive") else "rbind", *((propagation,) if propagation else ()))
        return VolumeMount(
            kind,
            target,
            source,
            read_only,
            words,
            make_source=flag_of(options, "CreateMountpoint"),
            only_top_read_only=flag_of(options, "ReadOnlyNonRecursive"),
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
            copy_up=not flag_of(options, "NoCopy"),
            subpath=text_of(options, "Subpath"),
            labels=pairs_of(options, "Labels"),
        )
    if kind == "tmpfs":
        options = object_of(value, "TmpfsOptions")
        size, mode = number_of(options, "SizeBytes"), number_of(options, "Mode")
        words = (*((f"size={size}",) if size else ()), *((f"mode={mode:o}",) if mode else ()))
        return VolumeMount(kind, target, "", read_only, words)
    raise NotThereYet(f"mounts of type {kind!r} are not there yet", remedy="Types are bind, volume and tmpfs.")


def _ports(host: Fields) -> Iterator[PortMapping]:
    ports = object_of(host, "PortBindings")
    for inside in ports:
        for binding in objects_of(ports, inside) or [{}]:
            address, port = text_of(binding, "HostIp"), text_of(binding, "HostPort")
            port = "" if port == "0" else port  # a free one, in both spellings
            if address in ("::", "[::]"):
                continue  # networks are IPv4: what everybody may reach there is bound by 0.0.0.0
            yield from parse_port(f"{address}:{port}:{inside}" if address else f"{port}:{inside}")


def membership_of(network: str, fields: Fields) -> Membership:
    """A network with what EndpointSettings say of the container in it.

    Raises:
        InvalidInput: no such settings. NotThereYet: ones that Estiba has not.
    """
    for key in ("Links", "DriverOpts"):
        if fields.get(key) not in _NOTHING:
            raise NotThereYet(f"EndpointsConfig.{key} is not there yet")
    addresses = object_of(fields, "IPAMConfig")
    for key in ("IPv6Address", "LinkLocalIPs"):
        if addresses.get(key) not in _NOTHING:
            raise NotThereYet(f"EndpointsConfig.IPAMConfig.{key} is not there yet")
    asked = Membership(
        "bridge" if network == "default" else network,
        list_of(fields, "Aliases"),
        text_of(addresses, "IPv4Address"),
        text_of(fields, "MacAddress"),
    )
    return option_checks.membership(asked)


def _memberships(body: Fields, host: Fields) -> tuple[Membership, ...]:
    """The network of the container's mode first; one is enough."""
    mode = text_of(host, "NetworkMode")
    if flag_of(body, "NetworkDisabled"):
        return (Membership("none"),)
    named = object_in(object_of(body, "NetworkingConfig"), "EndpointsConfig")
    found = [membership_of(name, endpoint) for name, endpoint in named]
    if mode in ("", "default"):
        mode = found[0].network if found else "bridge"
    first = next((one for one in found if one.network == mode), Membership(mode))
    if not first.mac_address:
        first = first._replace(mac_address=option_checks.mac_address(text_of(body, "MacAddress")))
    return (first, *(one for one in found if one.network != mode))


def _restart(host: Fields) -> RestartPolicy:
    policy = object_of(host, "RestartPolicy")
    name, maximum = text_of(policy, "Name") or "no", number_of(policy, "MaximumRetryCount")
    if maximum and name != "on-failure":
        raise InvalidInput(f"invalid restart policy: maximum retry count cannot be used with restart policy {name!r}")
    return RestartPolicy.parse(f"{name}:{maximum}" if maximum else name)


def _signal(text: str) -> str:
    if text:
        parse_signal(text)
    return text


def _logs(config: Fields) -> LogOptions:
    return log_options(text_of(config, "Type"), pairs_of(config, "Config"))


def _links(entries: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        name, colon, alias = entry.partition(":")
        yield option_checks.link(name, (alias if colon else name).rpartition("/")[2])
