"""What the chain of processes is to do, gathered before the first fork; every process has it in its memory."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from estiba.linux.cgroups.group import Group


class Plan:
    """One process to bring into a container: its first (`config` is the bundle's) or one more (`config` is None).

    `joins` are (flag, descriptor) of namespaces to join, `new` the flags of those to create. `fifo` is a descriptor of
    exec.fifo to wait on, -1 to become the program at once. `preserve` descriptors after 2 reach the program.
    """

    __slots__ = (
        "bundle",
        "config",
        "document",
        "fifo",
        "final_processors",
        "group",
        "id",
        "initial_processors",
        "joins",
        "linux",
        "maps",
        "mounts_are_others",
        "new",
        "new_keyring",
        "no_pivot",
        "preserve",
        "process",
        "rootfs",
        "seccomp",
        "sources",
        "streams",
        "target",
        "time_offsets",
    )

    def __init__(self, *, container_id: str, process: dict[str, Any], config: dict[str, Any] | None) -> None:
        self.id = container_id
        self.process = process
        self.config = config
        self.bundle = "/"
        self.rootfs = "/"
        self.document: dict[str, Any] = {}  # the state, for hooks that run inside
        self.joins: list[tuple[int, int]] = []
        self.new = 0
        self.maps: tuple[list[dict[str, int]], list[dict[str, int]]] | None = None
        self.target = -1  # a pidfd: join that process's namespaces (`new` has the flags)
        self.group: Group | None = None
        self.fifo = -1
        self.preserve = 0
        self.streams: tuple[int, int, int] | None = None  # what becomes 0, 1 and 2; None: what we have there
        self.seccomp: dict[str, Any] | None = None
        self.no_pivot = False
        self.new_keyring = True
        self.linux: dict[str, Any] = {}  # the config's `linux`, where it describes every process
        self.sources: dict[int, int] = {}  # position in `mounts` -> detached mount with mapped ids
        self.mounts_are_others = False  # the mount namespace existed before
        self.time_offsets: dict[str, dict[str, int]] = {}
        self.initial_processors = self.final_processors = ""  # lists: before and after the control group

    @property
    def wants_terminal(self) -> bool:
        return bool(self.process.get("terminal"))
