"""A container's record on disk, from `create` to `delete`.

ROOT/
  ID/
    state.json    what is known from the beginning: bundle, control group, when it was created, and by whom
    process.json  what is known once it is created: pid and its start time, the control group as it was made
    config.json   the bundle's config, as it was when the container was created
    exec.fifo     there while the container is created and not started: a byte written into it starts the program
"""

from __future__ import annotations

import fcntl
import os

from estiba.errors import InvalidInput
from estiba.linux.cgroups.group import Group
from estiba.linux.processes import start_time
from estiba.oci import json_text
from estiba.runtime.errors import ContainerExists, ContainerUnknown, WrongStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SPEC_VERSION = "1.3.0"
_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")


class Container:
    """One container under a runtime's root. `record` is what state.json says."""

    __slots__ = ("directory", "id", "record", "root")

    def __init__(self, root: str, container_id: str, record: dict[str, Any]) -> None:
        self.root = root
        self.id = container_id
        self.directory = os.path.join(root, container_id)
        self.record = record

    @property
    def fifo(self) -> str:
        return os.path.join(self.directory, "exec.fifo")

    @property
    def pid(self) -> int:
        """The first process, on the host; 0 before there is one."""
        return int(self.record.get("pid", 0))

    @property
    def bundle(self) -> str:
        return str(self.record["bundle"])

    @property
    def group(self) -> Group | None:
        record = self.record.get("cgroup")
        return Group.from_record(record) if record else None

    def config(self) -> dict[str, Any]:
        """The config.json that the container was made from."""
        config: dict[str, Any] = json_text.load(os.path.join(self.directory, "config.json"))
        return config

    def is_alive(self) -> bool:
        """Whether the first process still runs; a number that another process got later does not count."""
        return bool(self.pid) and start_time(self.pid) == self.record.get("startTime")

    def status(self) -> str:
        """creating, created, running, paused or stopped (runtime-spec, runtime.md, "State")."""
        if not self.pid:
            return "creating" if self._maker_lives() else "stopped"
        if not self.is_alive():
            return "stopped"
        if os.path.exists(self.fifo):
            return "created"
        group = self.group
        try:
            return "paused" if group is not None and group.is_frozen() else "running"
        except OSError:
            return "running"

    def document(self, *, status: str | None = None) -> dict[str, Any]:
        """The state as the spec has it: what `state` prints and hooks read."""
        now = status or self.status()
        return {
            "ociVersion": SPEC_VERSION,
            "id": self.id,
            "pid": 0 if now in ("stopped",) else self.pid,
            "status": now,
            "bundle": self.bundle,
            "rootfs": self.record.get("rootfs", ""),
            "created": self.record.get("created", ""),
            "owner": self.record.get("owner", ""),
            "annotations": self.record.get("annotations", {}),
        }

    def save_process(self) -> None:
        """Write what creating it has told. A file of its own: to replace one makes a filesystem wait for its disk."""
        known = {name: self.record.get(name) for name in ("pid", "startTime", "cgroup")}
        _write_once(os.path.join(self.directory, "process.json"), json_text.dumps(known))

    def require(self, *allowed: str, verb: str) -> str:
        """The status, if it is one of `allowed`.

        Raises:
            WrongStatus: it is another.
        """
        now = self.status()
        if now not in allowed:
            if now == "stopped":
                raise WrongStatus(f"cannot {verb} container {self.id}: container not running")
            raise WrongStatus(f"cannot {verb} container {self.id}: it is {now}, not {' or '.join(allowed)}")
        return now

    def forget(self) -> None:
        """Remove the record; the last thing that `delete` does."""
        for name in os.listdir(self.directory):
            os.unlink(os.path.join(self.directory, name))
        os.rmdir(self.directory)

    def lock(self) -> int:
        """Hold the container against other verbs until the descriptor is closed."""
        try:
            descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ContainerUnknown(self.id) from None
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return descriptor

    def _maker_lives(self) -> bool:
        maker = self.record.get("maker", [0, None])
        return bool(start_time(maker[0]) == maker[1])


def check_id(container_id: str) -> None:
    """Raise InvalidInput for an id that could not be a directory's name."""
    if not container_id or container_id in (".", "..") or not set(container_id) <= _ALLOWED:
        raise InvalidInput(f"{container_id!r} cannot be a container's id", remedy="Use letters, digits and _ + - .")


def refuse_taken_id(root: str, container_id: str) -> None:
    """Raise ContainerExists when there is a container of this id."""
    check_id(container_id)
    if os.path.lexists(os.path.join(root, container_id)):
        raise ContainerExists(container_id)


def new_container(root: str, container_id: str, record: dict[str, Any], config_text: str) -> Container:
    """Take the id: make its directory and write what is known so far.

    Raises:
        ContainerExists: the id is taken.
    """
    check_id(container_id)
    os.makedirs(root, mode=0o711, exist_ok=True)
    container = Container(root, container_id, record)
    try:
        os.mkdir(container.directory, 0o711)
    except FileExistsError:
        raise ContainerExists(container_id) from None
    record["maker"] = [os.getpid(), start_time(os.getpid())]
    _write_once(os.path.join(container.directory, "state.json"), json_text.dumps(record))
    _write_once(os.path.join(container.directory, "config.json"), config_text)
    os.mkfifo(container.fifo, 0o600)
    return container


def load_container(root: str, container_id: str) -> Container:
    """The container of this id.

    Raises:
        ContainerUnknown: there is none.
    """
    check_id(container_id)
    try:
        record = json_text.load(os.path.join(root, container_id, "state.json"))
    except (FileNotFoundError, NotADirectoryError):
        raise ContainerUnknown(container_id) from None
    try:
        record.update(json_text.load(os.path.join(root, container_id, "process.json")))
    except FileNotFoundError:
        pass  # it is being created, or whoever did was killed
    return Container(root, container_id, record)


def _write_once(path: str, text: str) -> None:
    """Make the file `path`, which is not there yet, so that a reader sees all of it or none.

    Nobody else reads it: a config's environment holds passwords, and the directory lies open for its pipe.
    """
    temporary = f"{path}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    os.rename(temporary, path)


def forget_half_made(root: str, container_id: str) -> None:
    """Remove a directory without a record: its maker was killed before it wrote one. There is nothing else of it."""
    check_id(container_id)
    directory = os.path.join(root, container_id)
    try:
        for name in os.listdir(directory):
            os.unlink(os.path.join(directory, name))
        os.rmdir(directory)
    except FileNotFoundError:
        return


def list_containers(root: str) -> list[Container]:
    """Every container under the root, by id."""
    try:
        names = sorted(os.listdir(root))
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        try:
            found.append(load_container(root, name))
        except (ContainerUnknown, InvalidInput):
            continue
    return found
