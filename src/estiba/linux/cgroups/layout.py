"""Which control group hierarchies this machine has mounted, and where.

Three shapes are in the field: version 2 alone (`unified` is all there is), version 1 alone, and version 1 with a
version 2 beside it that holds no controllers (hybrid).
"""

from __future__ import annotations

from estiba.errors import Unavailable

_V1_CONTROLLERS = """
cpu cpuacct cpuset memory devices freezer blkio pids net_cls net_prio hugetlb perf_event rdma misc
"""
_CONTROLLERS = frozenset(_V1_CONTROLLERS.split())


class Layout:
    """`controllers`: version 1 controller (or ``name=systemd``) -> mount point. `unified`: version 2's, or ""."""

    __slots__ = ("controllers", "unified")

    def __init__(self, controllers: dict[str, str], unified: str) -> None:
        self.controllers = controllers
        self.unified = unified

    @property
    def is_unified(self) -> bool:
        """Whether version 2 is all there is."""
        return not self.controllers and bool(self.unified)

    def hierarchies(self) -> dict[str, str]:
        """Every version 1 mount point once -> the name of its directory below /sys/fs/cgroup."""
        return {place: place.rpartition("/")[2] for place in self.controllers.values()}


def detect() -> Layout:
    """The hierarchies mounted in this mount namespace.

    Raises:
        Unavailable: there are none.
    """
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        layout = parse_mountinfo(file.read())
    if not layout.controllers and not layout.unified:
        raise Unavailable("no control groups are mounted", remedy="Mount them: mount -t cgroup2 cgroup2 /sys/fs/cgroup")
    return layout


def parse_mountinfo(text: str) -> Layout:
    """The hierarchies in the text of /proc/PID/mountinfo; the first mount of each counts."""
    controllers: dict[str, str] = {}
    unified = ""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, rest = after.partition(" ")
        if kind not in ("cgroup", "cgroup2"):
            continue
        place = before.split(" ")[4].replace("\\040", " ")
        if kind == "cgroup2":
            unified = unified or place
            continue
        for option in rest.rpartition(" ")[2].split(","):
            if option in _CONTROLLERS or option.startswith("name="):
                controllers.setdefault(option, place)
    return Layout(controllers, unified)
