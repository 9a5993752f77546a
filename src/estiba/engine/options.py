"""What a user asks of a container, as one value. Pure: nothing here looks at a machine.

It is kept with the container as JSON, so `from_json(to_json(x)) == x` for every value.
"""

from __future__ import annotations

from estiba.engine.restart_policy import RestartPolicy
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
    """

    kind: str
    target: str
    source: str = ""
    read_only: bool = False
    options: tuple[str, ...] = ()
    copy_up: bool = True
    make_source: bool = False


class Ulimit(NamedTuple):
    """A limit of setrlimit(2); `name` is ``nofile`` and the like, -1 is unlimited."""

    name: str
    soft: int
    hard: int


class Limits(NamedTuple):
    """What a container may use; 0 is no limit. Sizes in bytes, `nano_cpus` in billionths of a CPU.

    `memory_swap` is memory and swap together, -1 for swap without limit. `pids` 0 is the default limit, -1 none.
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


class Security(NamedTuple):
    """What a container may do. Capabilities are names with or without ``CAP_``, or ``ALL``."""

    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    read_only: bool = False
    allow_new_privileges: bool = False
    seccomp: str = "default"


class Naming(NamedTuple):
    """How a container sees itself and others; "" as host name takes the beginning of the id."""

    hostname: str = ""
    domainname: str = ""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    add_hosts: tuple[tuple[str, str], ...] = ()


class LogOptions(NamedTuple):
    """How much of a container's output is kept: `files` files of `size` bytes. `driver` is json-file or none."""

    driver: str = "json-file"
    size: int = 10_000_000
    files: int = 3


class ContainerOptions(NamedTuple):
    """Everything that `run` and `create` are told.

    `entrypoint` and `command` None take the image's; an empty `entrypoint` resets it. `env` are ``KEY=value``; a
    ``KEY`` alone takes the variable away. `stop_timeout` None is ten seconds. `annotations` are for the runtime.
    `userns` and what begins with it, `uid_map` and `gid_map` are the fields of `userns.Users`.
    `init` puts an init before the program, which passes signals on and reaps orphans.
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
}
_NESTED_LISTS: dict[str, Any] = {"mounts": VolumeMount, "ports": PortMapping}


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
