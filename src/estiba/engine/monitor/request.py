"""What a command tells the monitor that it starts."""

from __future__ import annotations

from estiba.engine.options import ContainerOptions
from estiba.engine.records import process_from_json
from estiba.engine.spec import Process
from estiba.linux.mounts import Mount
from estiba.networks.ports import PortMapping
from estiba.oci import json_text
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any


class VolumePlace(NamedTuple):
    """A volume as a directory of the host. `fill` copies what the image has at `target` into it while it is empty;
    of one with a `subpath` only that part is shown."""

    target: str
    source: str
    read_only: bool = False
    fill: bool = False
    subpath: str = ""


class Borrowed(NamedTuple):
    """A namespace of another container that is shared: `kind` is ``pid``, ``ipc``, ``network`` or ``user``; `pid` is
    that container's first process, which began at `started`, and `name` the container's."""

    kind: str
    pid: int
    started: int
    name: str
    container_id: str = ""


class StartRequest(NamedTuple):
    """Everything that a monitor needs; nothing else is read from outside but the database.

    `rootfs` are the mounts that make the container's files. `runtime` is the runtime's command. `boot` is the boot id.
    `attach` asks that the starter gets the output, `attach_input` that it gives the input. `console_size` is rows and
    columns. `links` are pairs (name, address) of other containers. `settle_after` is for how many seconds the monitor
    has nothing to do before it settles (0: its own choice). `joined_pid` and `users_pid` say nothing any more; monitors
    of earlier versions have them packed.
    """

    container_id: str
    name: str
    root: str
    run: str
    options: ContainerOptions
    process: Process
    rootfs: tuple[Mount, ...]
    volumes: tuple[VolumePlace, ...]
    runtime: tuple[str, ...]
    runtime_root: str
    runtime_is_ours: bool
    snapshotter: str
    boot: str
    ports: tuple[PortMapping, ...] = ()
    joined_pid: int = 0
    users_pid: int = 0
    architecture: str = "amd64"
    attach: bool = False
    attach_input: bool = False
    console_size: tuple[int, int] | None = None
    borrowed: tuple[Borrowed, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    settle_after: float = 0.0

    @property
    def short_id(self) -> str:
        return self.container_id[:12]

    def encoded(self) -> bytes:
        """The request as JSON."""
        value = self._asdict()
        value["options"] = self.options.to_json()
        value["process"] = self.process._asdict()
        return json_text.dumps(value).encode()

    @classmethod
    def decode(cls, data: bytes) -> StartRequest:
        """The request that `encoded` wrote."""
        value: dict[str, Any] = json_text.loads(data.decode(), what="the request")
        size = value.pop("console_size")
        return cls(
            options=ContainerOptions.from_json(value.pop("options")),
            process=process_from_json(value.pop("process")),
            rootfs=tuple(Mount(m[0], m[1], m[2], tuple(m[3])) for m in value.pop("rootfs")),
            volumes=tuple(VolumePlace(*place) for place in value.pop("volumes")),
            runtime=tuple(value.pop("runtime")),
            ports=tuple(PortMapping(*port) for port in value.pop("ports")),
            borrowed=tuple(Borrowed(*one) for one in value.pop("borrowed")),
            links=tuple((name, address) for name, address in value.pop("links")),
            console_size=(size[0], size[1]) if size else None,
            **value,
        )
