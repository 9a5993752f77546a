"""What a user asks of a container, as one value. Pure: nothing here looks at a machine.

It is kept with the container as JSON, so `from_json(to_json(x)) == x` for every value.
"""

from __future__ import annotations

from estiba.engine.restart_policy import RestartPolicy
from estiba.errors import Conflict
from estiba.networks.ports import PortMapping
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from estiba.engine.userns import Users


class VolumeMount(NamedTuple):
    """Something shown inside the container at `target`.

    `kind` is ``bind`` (`source` is a path of the host), ``volume`` (`source` is a name, "" for an anonymous one) or
    ``tmpfs`` (no source; `options` are those of the filesystem). `copy_up` fills an empty volume with what the image
    has at `target`. `make_source` makes a missing directory for a bind (``-v`` does, ``--mount`` does not).
    `subpath` shows only that directory or file of a volume. `only_top_read_only`: mounts below a read-only bind stay
    writable. `labels` are those of a volume that is made for it. `relabels` is ``z`` or ``Z`` where its files are to
    get the SELinux label of all containers, or of this one.
    """

    kind: str
    target: str
    source: str = ""
    read_only: bool = False
    options: tuple[str, ...] = ()
    copy_up: bool = True
    make_source: bool = False
    subpath: str = ""
    only_top_read_only: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    relabels: str = ""


class Device(NamedTuple):
    """A device of the host at `host`, or a directory of them, at `container`; `access` is of the letters rwm."""

    host: str
    container: str
    access: str = "rwm"


class Ulimit(NamedTuple):
    """A limit of setrlimit(2); `name` is ``nofile`` and the like, -1 is unlimited."""

    name: str
    soft: int
    hard: int


class Limits(NamedTuple):
    """What a container may use; 0 is no limit. Sizes in bytes, `nano_cpus` in billionths of a CPU, times of the
    scheduler in microseconds.

    `memory_swap` is memory and swap together, -1 for swap without limit. `pids` 0 is the default limit, -1 none.
    `swappiness` None is the kernel's own.
    """

    memory: int = 0
    memory_swap: int = 0
    memory_reservation: int = 0
    nano_cpus: int = 0
    cpu_shares: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids: int = 0
    shm_size: int = 0
    ulimits: tuple[Ulimit, ...] = ()
    oom_score_adj: int | None = None
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_rt_period: int = 0
    cpu_rt_runtime: int = 0
    swappiness: int | None = None
    oom_kill_disable: bool = False


class BlockIo(NamedTuple):
    """What a container may do with block devices: weights of 10 to 1000, and pairs (path of the device, number); the
    numbers are weights, bytes a second or operations a second."""

    weight: int = 0
    weight_devices: tuple[tuple[str, int], ...] = ()
    read_bps: tuple[tuple[str, int], ...] = ()
    write_bps: tuple[tuple[str, int], ...] = ()
    read_iops: tuple[tuple[str, int], ...] = ()
    write_iops: tuple[tuple[str, int], ...] = ()


class Shared(NamedTuple):
    """What a container has together with others, in Docker's words; "" is a namespace of its own.

    `pid` is "", ``host`` or ``container:ID``; `ipc` is "", ``private``, ``shareable``, ``none``, ``host`` or
    ``container:ID``; `uts` "" or ``host``; `cgroup` "", ``private`` or ``host``.
    """

    pid: str = ""
    ipc: str = ""
    uts: str = ""
    cgroup: str = ""


class Health(NamedTuple):
    """How to see whether a container is well. `test` is that of an image's Healthcheck, () for the image's own; times
    are nanoseconds, 0 for the image's or the default. `shell` is the image's, for a test of the form CMD-SHELL;
    `on_failure` is what becomes of an unhealthy container: none, restart, stop or kill."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0
    shell: tuple[str, ...] = ()
    on_failure: str = "none"

    @property
    def is_asked(self) -> bool:
        """Whether there is anything about it that an image may have too."""
        return tuple(self[:6]) != ((), 0, 0, 0, 0, 0)


class Security(NamedTuple):
    """What a container may do. Capabilities are names with or without ``CAP_``, or ``ALL``.

    `seccomp` is ``default``, ``unconfined`` or the JSON text of a profile, Docker's or the runtime-spec's.
    `shows_system_paths`: nothing of /proc and /sys is masked or read-only. `apparmor` is a profile, `process_label` and
    `mount_label` are SELinux labels of processes and files; "" for none.
    """

    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    read_only: bool = False
    allow_new_privileges: bool = False
    seccomp: str = "default"
    shows_system_paths: bool = False
    apparmor: str = ""
    process_label: str = ""
    mount_label: str = ""


class Naming(NamedTuple):
    """How a container sees itself and others; "" as host name takes the beginning of the id."""

    hostname: str = ""
    domainname: str = ""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    add_hosts: tuple[tuple[str, str], ...] = ()


class LogOptions(NamedTuple):
    """How much of a container's output is kept: `files` files of `size` bytes. `driver` is json-file, local or none."""

    driver: str = "json-file"
    size: int = 10_000_000
    files: int = 3


class Membership(NamedTuple):
    """A container in a network: `aliases` are further names there, `address` "" is a free one, as is `mac_address`."""

    network: str
    aliases: tuple[str, ...] = ()
    address: str = ""
    mac_address: str = ""


class ContainerOptions(NamedTuple):
    """Everything that `run` and `create` are told.

    `entrypoint` and `command` None take the image's; an empty `entrypoint` resets it. `env` are ``KEY=value``; a
    ``KEY`` alone takes the variable away. `stop_timeout` None is ten seconds. `annotations` are for the runtime.
    `userns` and what begins with it, `uid_map` and `gid_map` are the fields of `userns.Users`.
    `init` puts an init before the program, which passes signals on and reaps orphans.
    `volumes_from` are ``CONTAINER[:ro|rw]``, whose mounts are among `mounts` once the container is made; `inherited`
    says how many of them. `links` are pairs (container, alias). `runtime` "" is the installation's. `attached` are the
    streams that the command was to stay with, () for the usual ones. `storage` are pairs of ``--storage-opt``.
    `network` "" is what is left when the container has been taken out of its networks; `aliases`, `address` and
    `mac_address` are for that network, `networks` are those that it is in besides.
    """

    image: str
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    name: str = ""
    env: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    user: str = ""
    groups: tuple[str, ...] = ()
    working_dir: str = ""
    tty: bool = False
    interactive: bool = False
    auto_remove: bool = False
    mounts: tuple[VolumeMount, ...] = ()
    ports: tuple[PortMapping, ...] = ()
    publish_all: bool = False
    expose: tuple[str, ...] = ()
    network: str = "bridge"
    mac_address: str = ""
    naming: Naming = Naming()
    limits: Limits = Limits()
    security: Security = Security()
    sysctls: tuple[tuple[str, str], ...] = ()
    restart: RestartPolicy = RestartPolicy()
    stop_signal: str = ""
    stop_timeout: int | None = None
    logs: LogOptions = LogOptions()
    platform: str = ""
    annotations: tuple[tuple[str, str], ...] = ()
    userns: str = ""
    userns_size: int = 0
    userns_target: str = ""
    uid_map: tuple[tuple[int, int, int], ...] = ()
    gid_map: tuple[tuple[int, int, int], ...] = ()
    init: bool = False
    devices: tuple[Device, ...] = ()
    device_rules: tuple[str, ...] = ()
    block_io: BlockIo = BlockIo()
    shared: Shared = Shared()
    cgroup_parent: str = ""
    health: Health = Health()
    volumes_from: tuple[str, ...] = ()
    inherited: int = 0
    links: tuple[tuple[str, str], ...] = ()
    address: str = ""
    runtime: str = ""
    attached: tuple[str, ...] = ()
    storage: tuple[tuple[str, str], ...] = ()
    aliases: tuple[str, ...] = ()
    networks: tuple[Membership, ...] = ()

    def memberships(self) -> tuple[Membership, ...]:
        """The networks that the container is in, the one with its published ports first; none with the host's or
        another container's."""
        if self.network in ("", "none", "host") or self.network.startswith("container:"):
            return self.networks
        return (Membership(self.network, self.aliases, self.address, self.mac_address), *self.networks)

    def joined(self, membership: Membership) -> ContainerOptions:
        """The same, in one network more.

        Raises:
            Conflict: it is in that one, or in none that can be joined to another.
        """
        if self.network in ("none", "host") or self.network.startswith("container:"):
            raise Conflict(
                f"a container with the network {self.network} cannot be connected to another",
                remedy="Create it anew with --network.",
            )
        if any(one.network == membership.network for one in self.memberships()):
            raise Conflict(f"the container is in the network {membership.network} already")
        if self.network:
            return self._replace(networks=(*self.networks, membership))
        return self._with_first(membership)

    def left(self, network: str) -> ContainerOptions:
        """The same without that network; the next one has the published ports then.

        Raises:
            Conflict: it is not in that network.
        """
        if network not in [one.network for one in self.memberships()]:
            raise Conflict(f"the container is not in the network {network}")
        if self.network != network:
            return self._replace(networks=tuple(one for one in self.networks if one.network != network))
        if self.networks:
            return self._replace(networks=self.networks[1:])._with_first(self.networks[0])
        return self._with_first(Membership(""))

    def _with_first(self, first: Membership) -> ContainerOptions:
        return self._replace(
            network=first.network, aliases=first.aliases, address=first.address, mac_address=first.mac_address
        )

    def with_users(self, users: Users) -> ContainerOptions:
        """The same with these ids."""
        return self._replace(
            userns=users.kind,
            userns_size=users.size,
            userns_target=users.target,
            uid_map=users.uids,
            gid_map=users.gids,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`; only what differs from the default."""
        value: dict[str, Any] = _plain(self)
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ContainerOptions:
        """The value that `to_json` came from."""
        given = {key: _frozen(item) for key, item in value.items()}
        for key, kind in _NESTED.items():
            if key in value:
                given[key] = kind(**{k: _frozen(v) for k, v in value[key].items()})
        for key, kind in _NESTED_LISTS.items():
            if key in value:
                given[key] = tuple(kind(**{k: _frozen(v) for k, v in item.items()}) for item in value[key])
        if "limits" in value and "ulimits" in value["limits"]:
            ulimits = tuple(Ulimit(**item) for item in value["limits"]["ulimits"])
            given["limits"] = given["limits"]._replace(ulimits=ulimits)
        return cls(**given)


_NESTED: dict[str, Any] = {
    "naming": Naming,
    "limits": Limits,
    "security": Security,
    "restart": RestartPolicy,
    "logs": LogOptions,
    "block_io": BlockIo,
    "shared": Shared,
    "health": Health,
}
_NESTED_LISTS: dict[str, Any] = {"mounts": VolumeMount, "ports": PortMapping, "devices": Device, "networks": Membership}


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        defaults = value._field_defaults
        fields = value._asdict().items()
        return {key: _plain(item) for key, item in fields if key not in defaults or defaults[key] != item}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
