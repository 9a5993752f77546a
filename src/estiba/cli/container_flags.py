"""Docker's flags of `run` and `create` → `ContainerOptions`. Those that Estiba lacks are refused by their name."""

from __future__ import annotations

import os

from estiba.cli.numbers import integer as _integer
from estiba.cli.parser import REMAINDER, SUPPRESS
from estiba.cli.variables import lines_of, read_environment
from estiba.engine import option_checks
from estiba.engine.mount_syntax import parse_mount, parse_tmpfs, parse_volume
from estiba.engine.options import (
    BlockIo,
    ContainerOptions,
    Health,
    Limits,
    LogOptions,
    Membership,
    Naming,
    Security,
)
from estiba.engine.restart_policy import RestartPolicy
from estiba.errors import InvalidInput, NotThereYet
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from typing import Any

    from estiba.engine.options import VolumeMount
    from estiba.networks.ports import PortMapping


class Flag(NamedTuple):
    """One flag; `kind` is ``switch``, ``value``, ``list`` (may be repeated) or ``missing`` (refused, with a value)."""

    names: tuple[str, ...]
    kind: str
    help: str = ""
    metavar: str = ""


FLAGS = (
    Flag(("-i", "--interactive"), "switch", "keep standard input open"),
    Flag(("-t", "--tty"), "switch", "give the container a terminal"),
    Flag(("--rm",), "switch", "remove the container when it ends"),
    Flag(("--name",), "value", "name of the container", "NAME"),
    Flag(("-e", "--env"), "list", "set a variable, or pass one on", "NAME[=VALUE]"),
    Flag(("--env-file",), "list", "variables from a file", "FILE"),
    Flag(("-v", "--volume"), "list", "show a directory or a volume in the container", "[SOURCE:]TARGET[:ro]"),
    Flag(("--mount",), "list", "the same with keys", "type=TYPE,source=SOURCE,target=TARGET"),
    Flag(("--tmpfs",), "list", "a directory in memory", "TARGET[:OPTIONS]"),
    Flag(("-p", "--publish"), "list", "publish a port, on 127.0.0.1 unless asked", "[ADDRESS:][PORT:]PORT[/udp]"),
    Flag(("-P", "--publish-all"), "switch", "publish every exposed port on a free port"),
    Flag(("--expose",), "list", "a port that the container serves", "PORT[/udp]"),
    Flag(("--network", "--net"), "list", "bridge, none, host, container:NAME, or networks of one's own", "NETWORK"),
    Flag(("-h", "--hostname"), "value", "host name inside", "NAME"),
    Flag(("--domainname",), "value", "domain name inside", "NAME"),
    Flag(("--dns",), "list", "name server", "ADDRESS"),
    Flag(("--dns-search",), "list", "search domain", "DOMAIN"),
    Flag(("--dns-option", "--dns-opt"), "list", "option of resolv.conf", "OPTION"),
    Flag(("--add-host",), "list", "a line of /etc/hosts", "NAME:ADDRESS"),
    Flag(("--mac-address",), "value", "MAC address", "ADDRESS"),
    Flag(("--ip",), "value", "IPv4 address in a network of one's own", "ADDRESS"),
    Flag(("--network-alias", "--net-alias"), "list", "a further name in a network of one's own", "NAME"),
    Flag(("--link",), "list", "a name for another container in /etc/hosts", "CONTAINER[:ALIAS]"),
    Flag(("-a", "--attach"), "list", "stay with these alone: stdin, stdout, stderr", "STREAM"),
    Flag(("--volumes-from",), "list", "the binds and volumes of another container", "CONTAINER[:ro]"),
    Flag(("--volume-driver",), "value", "local", "DRIVER"),
    Flag(("--runtime",), "value", "estiba, crun, runc or a path", "NAME"),
    Flag(("-u", "--user"), "value", "user (and group) inside", "USER[:GROUP]"),
    Flag(("--group-add",), "list", "a further group", "GROUP"),
    Flag(("-w", "--workdir"), "value", "working directory inside", "DIRECTORY"),
    Flag(("--entrypoint",), "value", "replace the image's entry point", "COMMAND"),
    Flag(("-l", "--label"), "list", "a label", "NAME=VALUE"),
    Flag(("--label-file",), "list", "labels from a file", "FILE"),
    Flag(("-m", "--memory"), "value", "limit of memory", "SIZE"),
    Flag(("--memory-swap",), "value", "limit of memory and swap; -1 is none", "SIZE"),
    Flag(("--memory-reservation",), "value", "soft limit of memory", "SIZE"),
    Flag(("--memory-swappiness",), "value", "how soon memory is swapped out, 0-100; -1 is the kernel's own", "NUMBER"),
    Flag(("--oom-kill-disable",), "switch", "let it wait for memory; needs --memory (control groups version 1)"),
    Flag(("--kernel-memory",), "value", SUPPRESS),
    Flag(("--cpus",), "value", "number of CPUs", "NUMBER"),
    Flag(("--cpu-period",), "value", "period of --cpu-quota, in microseconds", "NUMBER"),
    Flag(("--cpu-quota",), "value", "CPU time in each period, in microseconds", "NUMBER"),
    Flag(("--cpu-rt-period",), "value", "period of --cpu-rt-runtime, in microseconds", "NUMBER"),
    Flag(("--cpu-rt-runtime",), "value", "realtime CPU time in each period, in microseconds", "NUMBER"),
    Flag(("-c", "--cpu-shares"), "value", "relative weight of CPU", "NUMBER"),
    Flag(("--cpuset-cpus",), "value", "CPUs that may be used", "0-2,4"),
    Flag(("--cpuset-mems",), "value", "memory nodes that may be used", "0,1"),
    Flag(("--pids-limit",), "value", "number of processes (2048; -1 for no limit)", "NUMBER"),
    Flag(("--shm-size",), "value", "size of /dev/shm", "SIZE"),
    Flag(("--ulimit",), "list", "limit of setrlimit", "NAME=SOFT[:HARD]"),
    Flag(("--oom-score-adj",), "value", "preference of the OOM killer", "NUMBER"),
    Flag(("--blkio-weight",), "value", "relative weight of block devices, 10-1000", "NUMBER"),
    Flag(("--blkio-weight-device",), "list", "the same for one device", "PATH:NUMBER"),
    Flag(("--device-read-bps",), "list", "bytes read in a second", "PATH:SIZE"),
    Flag(("--device-write-bps",), "list", "bytes written in a second", "PATH:SIZE"),
    Flag(("--device-read-iops",), "list", "reads in a second", "PATH:NUMBER"),
    Flag(("--device-write-iops",), "list", "writes in a second", "PATH:NUMBER"),
    Flag(("--storage-opt",), "list", "size=SIZE: how much the container may write", "NAME=VALUE"),
    Flag(("--device",), "list", "a device of the host, or a directory of them", "HOST[:CONTAINER[:rwm]]"),
    Flag(("--device-cgroup-rule",), "list", "allow more devices", "'c 1:3 rwm'"),
    Flag(("--pid",), "value", "processes: host, container:NAME", "MODE"),
    Flag(("--ipc",), "value", "host, private, shareable, none, container:NAME", "MODE"),
    Flag(("--uts",), "value", "host: its name is the host's", "MODE"),
    Flag(("--cgroupns",), "value", "host or private (default)", "MODE"),
    Flag(("--cgroup-parent",), "value", "control group above the container's", "PATH"),
    Flag(("--cap-add",), "list", "add a capability", "NAME"),
    Flag(("--cap-drop",), "list", "drop a capability", "NAME"),
    Flag(("--privileged",), "switch", "lift every guard"),
    Flag(("--read-only",), "switch", "make the root filesystem read-only"),
    Flag(
        ("--security-opt",),
        "list",
        "seccomp=FILE|unconfined|builtin, no-new-privileges[=false], systempaths=unconfined",
        "OPTION",
    ),
    Flag(("--sysctl",), "list", "a kernel setting of its namespaces", "NAME=VALUE"),
    Flag(("--restart",), "value", "no, on-failure[:N], always, unless-stopped", "POLICY"),
    Flag(("--stop-signal",), "value", "signal that asks it to end", "SIGNAL"),
    Flag(("--stop-timeout",), "value", "seconds until it is killed", "SECONDS"),
    Flag(("--health-cmd",), "value", "command that says whether it is well", "COMMAND"),
    Flag(("--health-interval",), "value", "time between two checks", "TIME"),
    Flag(("--health-timeout",), "value", "time for one check", "TIME"),
    Flag(("--health-retries",), "value", "failures until it is unhealthy", "NUMBER"),
    Flag(("--health-start-period",), "value", "time to start in, without counting failures", "TIME"),
    Flag(("--health-start-interval",), "value", "time between two checks meanwhile", "TIME"),
    Flag(("--health-on-failure",), "value", "what becomes of it unhealthy: none, restart, stop, kill", "ACTION"),
    Flag(("--no-healthcheck",), "switch", "none, whatever the image says"),
    Flag(("--log-driver",), "value", "json-file, local or none", "DRIVER"),
    Flag(("--log-opt",), "list", "max-size and max-file", "NAME=VALUE"),
    Flag(("--init",), "switch", "an init as first process, which passes signals on and reaps orphans"),
    Flag(("--annotation",), "list", "an annotation for the runtime", "NAME=VALUE"),
    Flag(("--userns",), "value", "ids: the host's (default), its own, or those of another", "auto|host|container:NAME"),
    Flag(("--uidmap",), "list", "a user inside, a user of the host, and how many", "INSIDE:HOST[:N]"),
    Flag(("--gidmap",), "list", "the same with groups", "INSIDE:HOST[:N]"),
    Flag(("--subuidname",), "value", "users 0 and up are those of this name in /etc/subuid", "NAME"),
    Flag(("--subgidname",), "value", "groups 0 and up are those of this name in /etc/subgid", "NAME"),
    Flag(("--platform",), "value", "platform of the image", "OS/ARCH"),
    Flag(("--pull",), "value", "always, missing or never", "POLICY"),
    Flag(("-q", "--quiet"), "switch", "show no progress of a pull"),
    Flag(("--gpus",), "value", SUPPRESS),
    Flag(("--isolation",), "value", SUPPRESS),
    Flag(("--cidfile",), "value", "write the container's id to a file", "FILE"),
    Flag(("--disable-content-trust",), "switch", "accepted; it is the default"),
)

MISSING_SWITCHES = ("--use-api-socket",)
MISSING_VALUES = (
    *("--cpu-count", "--cpu-percent", "--io-maxbandwidth", "--io-maxiops"),  # of Windows
    *("--ip6", "--link-local-ip"),
)


_OF_LIMITS = (
    *("memory", "memory_swap", "memory_reservation", "memory_swappiness", "oom_kill_disable", "kernel_memory", "cpus"),
    *("cpu_shares", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpuset_cpus", "cpuset_mems"),
    *("pids_limit", "shm_size", "ulimit", "oom_score_adj"),
)


def add_container_arguments(parser: argparse.ArgumentParser) -> None:
    """Add every flag that `run` and `create` share, the image and its command."""
    for flag in FLAGS:
        if flag.kind == "switch":
            parser.add_argument(*flag.names, action="store_true", help=flag.help)
        elif flag.kind == "list":
            parser.add_argument(*flag.names, action="append", default=[], help=flag.help, metavar=flag.metavar)
        else:
            parser.add_argument(*flag.names, default=None, help=flag.help, metavar=flag.metavar)
    for name in MISSING_SWITCHES:
        parser.add_argument(name, action="refused", nargs=0, help=SUPPRESS)
    for name in MISSING_VALUES:
        parser.add_argument(name, action="refused", help=SUPPRESS)
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("command", nargs=REMAINDER, metavar="COMMAND", help="and its arguments")


def container_options(arguments: argparse.Namespace, environment: Mapping[str, str]) -> ContainerOptions:
    """What the flags ask for.

    Raises:
        InvalidInput: a value that cannot be. NotFound: a file that is missing.
    """
    entrypoint = arguments.entrypoint
    _refuse_what_is_not_of_here(arguments)
    network, *others = _memberships(arguments)
    options = ContainerOptions(
        image=arguments.image,
        command=tuple(arguments.command) or None,
        entrypoint=None if entrypoint is None else ((entrypoint,) if entrypoint else ()),
        name=arguments.name or "",
        env=read_environment(arguments.env_file, arguments.env, environment),
        labels=tuple(_pairs(lines_of(arguments.label_file) + arguments.label, "label", may_be_bare=True)),
        user=arguments.user or "",
        groups=tuple(arguments.group_add),
        working_dir=option_checks.working_directory(arguments.workdir or ""),
        tty=arguments.tty,
        interactive=arguments.interactive,
        auto_remove=arguments.rm,
        mounts=_mounts(arguments),
        ports=_ports(arguments.publish),
        publish_all=arguments.publish_all,
        expose=option_checks.exposed(arguments.expose),
        network=network.network,
        address=network.address,
        aliases=network.aliases,
        mac_address=network.mac_address,
        networks=tuple(others),
        naming=Naming(
            hostname=option_checks.hostname(arguments.hostname or ""),
            domainname=option_checks.hostname(arguments.domainname or "", what="domain name"),
            dns=tuple(option_checks.address(text) for text in arguments.dns),
            dns_search=tuple(arguments.dns_search),
            dns_options=tuple(arguments.dns_option),
            add_hosts=tuple(option_checks.host_line(text) for text in arguments.add_host),
        ),
        limits=_limits(arguments),
        security=_security(arguments),
        sysctls=tuple(_pairs(arguments.sysctl, "sysctl")),
        restart=_restart(arguments),
        stop_signal=_stop_signal(arguments.stop_signal),
        stop_timeout=None if arguments.stop_timeout is None else _integer(arguments.stop_timeout, "--stop-timeout"),
        logs=_logs(arguments.log_driver, arguments.log_opt),
        platform=arguments.platform or "",
        annotations=tuple(_pairs(arguments.annotation, "annotation")),
        init=arguments.init,
        block_io=_block_io(arguments),
        health=_health(arguments),
        volumes_from=option_checks.volumes_from(arguments.volumes_from),
        links=tuple(_link(text) for text in arguments.link),
        runtime=arguments.runtime or "",
        attached=_streams(arguments.attach),
        storage=option_checks.storage(_pairs(arguments.storage_opt, "storage option")),
        **_isolation(arguments),
    )
    if arguments.userns or arguments.uidmap or arguments.gidmap or arguments.subuidname or arguments.subgidname:
        from estiba.cli.user_ids import users_of

        options = options.with_users(users_of(arguments))
    return options


def _given(arguments: argparse.Namespace, *names: str) -> bool:
    """Whether one of these flags was given."""
    return any(getattr(arguments, name) for name in names)


def _refuse_what_is_not_of_here(arguments: argparse.Namespace) -> None:
    if arguments.gpus:
        raise NotThereYet(
            f"--gpus {arguments.gpus} is not there yet: nothing here knows the driver's files of a GPU",
            remedy="Give the device itself, such as --device /dev/dri, and bind its libraries with -v.",
        )
    if arguments.isolation not in (None, "", "default"):
        raise InvalidInput(
            f"--isolation {arguments.isolation} is of Windows", remedy="Leave it out, or give --isolation default."
        )
    if arguments.volume_driver not in (None, "", "local"):
        raise NotThereYet(
            f"the volume driver {arguments.volume_driver} is not there yet", remedy="Leave it out, or give local."
        )


def _isolation(arguments: argparse.Namespace) -> dict[str, Any]:
    """Devices, and what is shared with the host or with other containers."""
    if not _given(arguments, "device", "device_cgroup_rule", "pid", "ipc", "uts", "cgroupns", "cgroup_parent"):
        return {}
    from estiba.cli import isolation_flags

    return {
        "devices": isolation_flags.devices(arguments.device),
        "device_rules": isolation_flags.device_rules(arguments.device_cgroup_rule),
        "shared": isolation_flags.shared(arguments),
        "cgroup_parent": isolation_flags.cgroup_parent(arguments.cgroup_parent),
    }


def _health(arguments: argparse.Namespace) -> Health:
    names = ("cmd", "interval", "timeout", "retries", "start_period", "start_interval", "on_failure")
    if not _given(arguments, "no_healthcheck", *(f"health_{name}" for name in names)):
        return Health()
    from estiba.cli.health_flags import health

    return health(arguments)


def _link(text: str) -> tuple[str, str]:
    name, colon, alias = text.partition(":")
    return option_checks.link(name, alias if colon else name)


def _streams(texts: list[str]) -> tuple[str, ...]:
    found = tuple(text.lower() for text in texts)
    for name in found:
        if name not in ("stdin", "stdout", "stderr"):
            raise InvalidInput(f"invalid --attach {name!r}", remedy="Streams are stdin, stdout and stderr.")
    return found


def _memberships(arguments: argparse.Namespace) -> list[Membership]:
    """The networks with what is chosen in each; flags of their own are about the first."""
    first, *others = [_network(text) for text in arguments.network] or [Membership("bridge")]
    flags = (("--network-alias", "aliases"), ("--ip", "address"), ("--mac-address", "mac_address"))
    values = (tuple(arguments.network_alias), arguments.ip, arguments.mac_address)
    for (flag, field), value in zip(flags, values, strict=True):
        if value and getattr(first, field):
            raise InvalidInput(f"{flag} is given twice for the network {first.network}", remedy="Give it once.")
        first = first._replace(**{field: value or getattr(first, field)})
    return option_checks.memberships([option_checks.membership(one) for one in (first, *others)])


def _pairs(entries: list[str], what: str, *, may_be_bare: bool = False) -> list[tuple[str, str]]:
    pairs = []
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not name or not (equals or may_be_bare):
            raise InvalidInput(f"invalid {what} {entry!r}", remedy="Write NAME=VALUE.")
        pairs.append((name, value))
    return pairs


def _mounts(arguments: argparse.Namespace) -> tuple[VolumeMount, ...]:
    here = os.getcwd() if arguments.volume or arguments.mount else "/"
    mounts = [parse_volume(text, current_directory=here) for text in arguments.volume]
    mounts += [parse_mount(text, current_directory=here) for text in arguments.mount]
    mounts += [parse_tmpfs(text) for text in arguments.tmpfs]
    targets = [mount.target for mount in mounts]
    for target in targets:
        if targets.count(target) > 1:
            raise InvalidInput(f"duplicate mount point: {target}", remedy="Give each target once.")
    return tuple(mounts)


def _ports(texts: list[str]) -> tuple[PortMapping, ...]:
    if not texts:
        return ()
    from estiba.networks.ports import parse_ports

    return tuple(parse_ports(texts))


def _network(text: str) -> Membership:
    """A name, or ``name=NETWORK,alias=NAME,ip=ADDRESS,mac-address=ADDRESS``."""
    if "=" not in text:
        return Membership("bridge" if text in ("", "default") else text)
    pairs = _pairs(text.split(","), f"part of --network {text}:")
    aliases = tuple(value for key, value in pairs if key == "alias")
    single = [(key, value) for key, value in pairs if key != "alias"]
    words = dict(single)
    if len(words) < len(single) or set(words) - {"name", "ip", "mac-address"} or not words.get("name"):
        raise InvalidInput(
            f"invalid --network {text!r}", remedy="Write name=NETWORK,alias=NAME,ip=ADDRESS,mac-address=ADDRESS."
        )
    return Membership(words["name"], aliases, words.get("ip", ""), words.get("mac-address", ""))


def _limits(arguments: argparse.Namespace) -> Limits:
    if not _given(arguments, *_OF_LIMITS):
        return Limits()
    from estiba.cli.limit_flags import limits

    return limits(arguments)


def _block_io(arguments: argparse.Namespace) -> BlockIo:
    rates = ("device_read_bps", "device_write_bps", "device_read_iops", "device_write_iops")
    if not _given(arguments, "blkio_weight", "blkio_weight_device", *rates):
        return BlockIo()
    from estiba.cli.limit_flags import block_io

    return block_io(arguments)


def _security(arguments: argparse.Namespace) -> Security:
    security = Security(
        cap_add=tuple(arguments.cap_add),
        cap_drop=tuple(arguments.cap_drop),
        privileged=arguments.privileged,
        read_only=arguments.read_only,
    )
    if not arguments.security_opt:
        return security
    from estiba.cli.isolation_flags import seccomp_profile
    from estiba.engine.security_options import with_options

    return with_options(security, arguments.security_opt, profile=seccomp_profile)


def _restart(arguments: argparse.Namespace) -> RestartPolicy:
    policy = RestartPolicy.parse(arguments.restart or "no")
    if policy.name != "no" and arguments.rm:
        raise InvalidInput("conflicting options: --restart and --rm", remedy="Leave one of them out.")
    return policy


def _stop_signal(text: str | None) -> str:
    if text:
        from estiba.linux.signals import parse_signal

        parse_signal(text)
    return text or ""


def _logs(driver: str | None, options: list[str]) -> LogOptions:
    if not driver and not options:
        return LogOptions()
    from estiba.engine.log_options import log_options

    return log_options(driver or "", _pairs(options, "log option"))
