"""Docker's flags of `run` and `create` → `ContainerOptions`. Those that Estiba lacks are refused by their name."""

from __future__ import annotations

import os

from estiba.cli.parser import REMAINDER, SUPPRESS
from estiba.engine.mount_syntax import parse_mount, parse_tmpfs, parse_volume
from estiba.engine.options import ContainerOptions, Limits, LogOptions, Naming, Security, Ulimit
from estiba.engine.quantities import parse_cpus, parse_size
from estiba.engine.restart_policy import RestartPolicy
from estiba.errors import InvalidInput, NotFound, NotThereYet
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

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
    Flag(("--network", "--net"), "value", "bridge, none, host, container:NAME, or a network's name", "NETWORK"),
    Flag(("-h", "--hostname"), "value", "host name inside", "NAME"),
    Flag(("--domainname",), "value", "domain name inside", "NAME"),
    Flag(("--dns",), "list", "name server", "ADDRESS"),
    Flag(("--dns-search",), "list", "search domain", "DOMAIN"),
    Flag(("--dns-option", "--dns-opt"), "list", "option of resolv.conf", "OPTION"),
    Flag(("--add-host",), "list", "a line of /etc/hosts", "NAME:ADDRESS"),
    Flag(("--mac-address",), "value", "MAC address", "ADDRESS"),
    Flag(("-u", "--user"), "value", "user (and group) inside", "USER[:GROUP]"),
    Flag(("--group-add",), "list", "a further group", "GROUP"),
    Flag(("-w", "--workdir"), "value", "working directory inside", "DIRECTORY"),
    Flag(("--entrypoint",), "value", "replace the image's entry point", "COMMAND"),
    Flag(("-l", "--label"), "list", "a label", "NAME=VALUE"),
    Flag(("--label-file",), "list", "labels from a file", "FILE"),
    Flag(("-m", "--memory"), "value", "limit of memory", "SIZE"),
    Flag(("--memory-swap",), "value", "limit of memory and swap; -1 is none", "SIZE"),
    Flag(("--memory-reservation",), "value", "soft limit of memory", "SIZE"),
    Flag(("--cpus",), "value", "number of CPUs", "NUMBER"),
    Flag(("-c", "--cpu-shares"), "value", "relative weight of CPU", "NUMBER"),
    Flag(("--cpuset-cpus",), "value", "CPUs that may be used", "0-2,4"),
    Flag(("--cpuset-mems",), "value", "memory nodes that may be used", "0,1"),
    Flag(("--pids-limit",), "value", "number of processes (2048; -1 for no limit)", "NUMBER"),
    Flag(("--shm-size",), "value", "size of /dev/shm", "SIZE"),
    Flag(("--ulimit",), "list", "limit of setrlimit", "NAME=SOFT[:HARD]"),
    Flag(("--oom-score-adj",), "value", "preference of the OOM killer", "NUMBER"),
    Flag(("--cap-add",), "list", "add a capability", "NAME"),
    Flag(("--cap-drop",), "list", "drop a capability", "NAME"),
    Flag(("--privileged",), "switch", "lift every guard"),
    Flag(("--read-only",), "switch", "make the root filesystem read-only"),
    Flag(("--security-opt",), "list", "seccomp=unconfined, no-new-privileges=false", "OPTION"),
    Flag(("--sysctl",), "list", "a kernel setting of its namespaces", "NAME=VALUE"),
    Flag(("--restart",), "value", "no, on-failure[:N], always, unless-stopped", "POLICY"),
    Flag(("--stop-signal",), "value", "signal that asks it to end", "SIGNAL"),
    Flag(("--stop-timeout",), "value", "seconds until it is killed", "SECONDS"),
    Flag(("--log-driver",), "value", "json-file or none", "DRIVER"),
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
    Flag(("--cidfile",), "value", "write the container's id to a file", "FILE"),
    Flag(("--disable-content-trust",), "switch", "accepted; it is the default"),
)

MISSING_SWITCHES = ("--no-healthcheck", "--oom-kill-disable", "--use-api-socket")
MISSING_VALUES = (
    *("-a", "--attach", "--blkio-weight", "--blkio-weight-device", "--cgroup-parent", "--cgroupns", "--cpu-count"),
    *("--cpu-percent", "--cpu-period", "--cpu-quota", "--cpu-rt-period", "--cpu-rt-runtime", "--device"),
    *("--device-cgroup-rule", "--device-read-bps", "--device-read-iops", "--device-write-bps", "--device-write-iops"),
    *("--gpus", "--health-cmd", "--health-interval", "--health-retries", "--health-start-interval"),
    *("--health-start-period", "--health-timeout", "--io-maxbandwidth", "--io-maxiops", "--ip", "--ip6", "--ipc"),
    *("--isolation", "--kernel-memory", "--link", "--link-local-ip", "--memory-swappiness", "--network-alias"),
    *("--net-alias", "--pid", "--runtime", "--storage-opt", "--uts", "--volume-driver"),
    *("--volumes-from",),
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
    options = ContainerOptions(
        image=arguments.image,
        command=tuple(arguments.command) or None,
        entrypoint=None if entrypoint is None else ((entrypoint,) if entrypoint else ()),
        name=arguments.name or "",
        env=_environment(arguments.env_file, arguments.env, environment),
        labels=tuple(_pairs(_lines_of(arguments.label_file) + arguments.label, "label", may_be_bare=True)),
        user=arguments.user or "",
        groups=tuple(arguments.group_add),
        working_dir=_working_directory(arguments.workdir),
        tty=arguments.tty,
        interactive=arguments.interactive,
        auto_remove=arguments.rm,
        mounts=_mounts(arguments),
        ports=_ports(arguments.publish),
        publish_all=arguments.publish_all,
        expose=tuple(arguments.expose),
        network=_network(arguments.network),
        mac_address=arguments.mac_address or "",
        naming=Naming(
            hostname=_hostname(arguments.hostname or ""),
            domainname=arguments.domainname or "",
            dns=tuple(_address(text) for text in arguments.dns),
            dns_search=tuple(arguments.dns_search),
            dns_options=tuple(arguments.dns_option),
            add_hosts=tuple(_hosts(arguments.add_host)),
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
    )
    if arguments.userns or arguments.uidmap or arguments.gidmap or arguments.subuidname or arguments.subgidname:
        from estiba.cli.user_ids import users_of

        options = options.with_users(users_of(arguments))
    return options


def read_environment(files: list[str], given: list[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """``KEY=value`` of files and flags; a bare KEY takes the caller's own value, or nothing where it has none."""
    return _environment(files, given, environment)


def _environment(files: list[str], given: list[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    found: list[str] = []
    for entry in [*_lines_of(files), *given]:
        name, equals, _ = entry.partition("=")
        if not name or any(c.isspace() for c in name):
            raise InvalidInput(f"invalid environment variable {entry!r}", remedy="Write NAME=VALUE.")
        if equals:
            found.append(entry)
        elif name in environment:
            found.append(f"{name}={environment[name]}")
    return tuple(found)


def _lines_of(files: list[str]) -> list[str]:
    lines: list[str] = []
    for path in files:
        try:
            with open(path, encoding="utf-8-sig") as file:
                text = file.read()
        except OSError as error:
            raise NotFound(
                f"cannot read {path}: {error.strerror}", remedy="Give a file of NAME=VALUE lines."
            ) from error
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{path} is not UTF-8 text", remedy="Give a file of NAME=VALUE lines.") from error
        lines += [line.lstrip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return lines


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


def _network(text: str | None) -> str:
    if not text or text == "default":
        return "bridge"
    if "," in text or "=" in text:
        raise NotThereYet(f"--network {text}: options of a network are not there yet", remedy="Give its name alone.")
    return text


def _hosts(entries: list[str]) -> list[tuple[str, str]]:
    pairs = []
    for entry in entries:
        separator = "=" if "=" in entry else ":"
        name, _, address = entry.partition(separator)
        if not name or not address:
            raise InvalidInput(f"invalid host {entry!r}", remedy="Write NAME:ADDRESS.")
        pairs.append((name, address.strip("[]")))
    return pairs


def _hostname(text: str) -> str:
    if len(os.fsencode(text)) > 64:
        raise InvalidInput(f"the host name {text!r} is too long for the kernel", remedy="Give at most 64 characters.")
    return text


def _address(text: str) -> str:
    import socket

    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except OSError:
            continue
        return text
    raise InvalidInput(
        f"invalid name server {text!r}: it is not an IP address", remedy="Write such as --dns 192.0.2.53."
    )


def _pids(text: str | None) -> int:
    """As in Docker, 0 and -1 ask for no limit; the value knows that as -1."""
    return (_integer(text, "--pids-limit") or -1) if text else 0


def _limits(arguments: argparse.Namespace) -> Limits:
    swap = arguments.memory_swap
    limits = Limits(
        memory=_size(arguments.memory, "memory"),
        memory_swap=-1 if swap == "-1" else _size(swap, "memory and swap"),
        memory_reservation=_size(arguments.memory_reservation, "memory reservation"),
        nano_cpus=parse_cpus(arguments.cpus) if arguments.cpus else 0,
        cpu_shares=_integer(arguments.cpu_shares or "0", "--cpu-shares"),
        cpuset_cpus=arguments.cpuset_cpus or "",
        cpuset_mems=arguments.cpuset_mems or "",
        pids=_pids(arguments.pids_limit),
        shm_size=_size(arguments.shm_size, "shm size"),
        ulimits=tuple(_ulimit(text) for text in arguments.ulimit),
        oom_score_adj=None if arguments.oom_score_adj is None else _oom_score(arguments.oom_score_adj),
    )
    if 0 < limits.memory < 6 << 20:
        raise InvalidInput("the minimum memory limit is 6 MB", remedy="Give --memory at least 6m.")
    if limits.memory_swap and not limits.memory:
        raise InvalidInput("--memory-swap needs --memory as well", remedy="Add --memory SIZE.")
    if 0 < limits.memory_swap < limits.memory:
        raise InvalidInput(
            "--memory-swap is memory and swap together: it cannot be less than --memory",
            remedy="Give at least the size of --memory, or -1 for no limit of swap.",
        )
    return limits


def _size(text: str | None, what: str) -> int:
    return parse_size(text, what=what) if text else 0


def _integer(text: str, flag: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidInput(f"invalid value {text!r} for {flag}", remedy="Give a number.") from None


def _ulimit(text: str) -> Ulimit:
    name, equals, values = text.partition("=")
    soft, _, hard = values.partition(":")
    if not equals:
        raise InvalidInput(f"invalid limit {text!r}", remedy="Write NAME=SOFT[:HARD].")
    limit = Ulimit(name, _integer(soft, "--ulimit"), _integer(hard or soft, "--ulimit"))
    if limit.hard != -1 and not -1 < limit.soft <= limit.hard:
        raise InvalidInput(
            f"invalid limit {text!r}: the soft one is above the hard one", remedy="Write NAME=SOFT:HARD."
        )
    return limit


def _oom_score(text: str) -> int:
    score = _integer(text, "--oom-score-adj")
    if not -1000 <= score <= 1000:
        raise InvalidInput(f"invalid value {text!r} for --oom-score-adj", remedy="Give a number from -1000 to 1000.")
    return score


def _security(arguments: argparse.Namespace) -> Security:
    security = Security(
        cap_add=tuple(arguments.cap_add),
        cap_drop=tuple(arguments.cap_drop),
        privileged=arguments.privileged,
        read_only=arguments.read_only,
    )
    for option in arguments.security_opt:
        name, _, value = option.replace(":", "=", 1).partition("=")
        if name == "seccomp" and value == "unconfined":
            security = security._replace(seccomp="unconfined")
        elif name == "no-new-privileges" and value in ("", "true", "false"):
            security = security._replace(allow_new_privileges=value == "false")
        elif option not in ("apparmor=unconfined", "label=disable"):
            raise NotThereYet(
                f"--security-opt {option} is not there yet",
                remedy="There are seccomp=unconfined and no-new-privileges[=false].",
            )
    return security


def _restart(arguments: argparse.Namespace) -> RestartPolicy:
    policy = RestartPolicy.parse(arguments.restart or "no")
    if policy.name != "no" and arguments.rm:
        raise InvalidInput("conflicting options: --restart and --rm", remedy="Leave one of them out.")
    return policy


def _stop_signal(text: str | None) -> str:
    if text:
        from estiba.linux.processes import parse_signal

        parse_signal(text)
    return text or ""


def _working_directory(text: str | None) -> str:
    if text and not text.startswith("/"):
        raise InvalidInput(f"the working directory {text!r} is not an absolute path", remedy="Begin it with /.")
    return text or ""


def _logs(driver: str | None, options: list[str]) -> LogOptions:
    logs = LogOptions(driver=driver or "json-file")
    if logs.driver not in ("json-file", "none"):
        raise NotThereYet(f"the log driver {logs.driver} is not there yet", remedy="Drivers are json-file and none.")
    for name, value in _pairs(options, "log option"):
        if name == "max-size":
            size = -1 if value == "-1" else parse_size(value, what="max-size")
            logs = logs._replace(size=size if size > 0 else 1 << 62)
        elif name == "max-file":
            logs = logs._replace(files=max(1, _integer(value, "max-file")))
        else:
            raise NotThereYet(f"the log option {name} is not there yet", remedy="Options are max-size and max-file.")
    return logs
