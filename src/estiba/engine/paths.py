"""Where the engine keeps its things: the disk, drawn once.

ROOT/containers/ID/          kept with the container, mode 0700
├── lock                     held (flock) by whoever answers for the container: its monitor, or a command at work
├── still                    held (flock) by a command that needs a paused container to stay so
├── hosts, hostname,
│   resolv.conf              shown as /etc/… inside
├── ID-json.log[.1 .2]       output, in Docker's format
├── health                   what its health check had found when it ended
└── monitor.log              what a monitor said when it broke; empty in good days
ROOT/volumes/NAME/_data/     a volume's files
RUN/containers/ID/           gone after a reboot
├── config.json, rootfs/     the bundle; only the monitor sees what is mounted on rootfs
├── pid                      written by the runtime
├── console                  socket for the terminal's descriptor, while a container with a terminal starts
├── attach                   socket where the monitor answers
├── health                   what its health check has found, while it runs
└── exec                     socket where it takes further processes in, if the runtime is ours
RUN/runtime/                 the runtime's own state
"""

from __future__ import annotations

from estiba.values import NamedTuple


class ContainerPaths(NamedTuple):
    """The paths of one container; `root` and `run` are absolute."""

    root: str
    run: str
    container_id: str

    @property
    def directory(self) -> str:
        return f"{self.root}/containers/{self.container_id}"

    @property
    def lock(self) -> str:
        return f"{self.directory}/lock"

    @property
    def still(self) -> str:
        return f"{self.directory}/still"

    @property
    def hosts(self) -> str:
        return f"{self.directory}/hosts"

    @property
    def hostname(self) -> str:
        return f"{self.directory}/hostname"

    @property
    def resolv_conf(self) -> str:
        return f"{self.directory}/resolv.conf"

    @property
    def log(self) -> str:
        return f"{self.directory}/{self.container_id}-json.log"

    @property
    def monitor_log(self) -> str:
        return f"{self.directory}/monitor.log"

    @property
    def bundle(self) -> str:
        return f"{self.run}/containers/{self.container_id}"

    @property
    def config(self) -> str:
        return f"{self.bundle}/config.json"

    @property
    def rootfs(self) -> str:
        return f"{self.bundle}/rootfs"

    @property
    def health(self) -> str:
        return f"{self.bundle}/health"

    @property
    def last_health(self) -> str:
        return f"{self.directory}/health"

    @property
    def pid_file(self) -> str:
        return f"{self.bundle}/pid"


ATTACH_SOCKET = "attach"
CONSOLE_SOCKET = "console"
EXEC_SOCKET = "exec"


def volume_data(root: str, name: str) -> str:
    """The directory with the files of volume `name`."""
    return f"{root}/volumes/{name}/_data"
