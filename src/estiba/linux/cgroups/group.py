"""One container's control group: the same path below every hierarchy, made, joined, frozen, emptied and removed.

What limits mean in the files of each version is `v1.apply` and `v2.apply`.
"""

from __future__ import annotations

import errno
import os

from estiba.errors import Conflict, InvalidInput, Unavailable
from estiba.linux.cgroups import v1, v2
from estiba.linux.cgroups.layout import Layout, detect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

_ATTEMPTS = 500
_PAUSE_MS = 10


class GroupInUse(Conflict):
    """Somebody else's processes are in the group."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the control group {path} is in use", remedy="Choose another cgroupsPath.")


class Group:
    """The group `path` (absolute, below the root of each hierarchy).

    `made` are directories above it that `create` had to make: they go away with it once they are empty.
    """

    __slots__ = ("layout", "made", "path")

    @property
    def begins_with_process(self) -> bool:
        """Whether it is not there before the first process is added, which must come to nothing until then."""
        return False

    def __init__(self, layout: Layout, path: str, made: tuple[str, ...] = ()) -> None:
        self.layout = layout
        self.path = _clean(path)
        self.made = made

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Group:
        """The group that `record` describes."""
        if record.get("systemd"):
            from estiba.linux.cgroups.systemd.scope import ScopeGroup

            return ScopeGroup.from_record(record)
        layout = Layout(dict(record["controllers"]), str(record["unified"]))
        return cls(layout, record["path"], tuple(record["made"]))

    def record(self) -> dict[str, Any]:
        """Plain data from which `from_record` finds the group again."""
        return {
            "controllers": self.layout.controllers,
            "unified": self.layout.unified,
            "path": self.path,
            "made": list(self.made),
        }

    def directories(self) -> list[str]:
        """The group's directory in every hierarchy."""
        places = [*self.layout.hierarchies(), *((self.layout.unified,) if self.layout.unified else ())]
        return [place + self.path for place in places]

    def directory(self, controller: str) -> str:
        """The group's directory in the hierarchy of a controller.

        Raises:
            Unavailable: the machine has no such controller.
        """
        if self.layout.is_unified:
            return self.layout.unified + self.path
        if controller not in self.layout.controllers:
            raise Unavailable(
                f"the cgroup controller {controller!r} is not there", remedy=f"Mount it, or give no {controller} limit."
            )
        return self.layout.controllers[controller] + self.path

    def create(self) -> None:
        """Make the group in every hierarchy.

        Raises:
            GroupInUse: it exists and has processes.
        """
        made: list[str] = []
        for place in self._places():
            made.extend(make_directories(place, self.path))
            if _read(place + self.path + "/cgroup.procs").strip():
                raise GroupInUse(self.path)
        self.made = tuple(made)
        if "cpuset" in self.layout.controllers:
            v1.inherit_cpuset(self.layout.controllers["cpuset"], self.path)
        if self.layout.is_unified:
            v2.delegate_controllers(self.layout.unified, self.path)

    def apply(self, resources: Mapping[str, Any]) -> None:
        """Set the limits of the runtime-spec's `linux.resources` object (config-linux.md, "Control groups").

        Raises:
            Unavailable: a limit needs a controller that is not there.
            NotThereYet: a limit that is not supported.
        """
        if self.layout.is_unified:
            v2.apply(self.layout.unified + self.path, resources)
        else:
            v1.apply(self.directory, resources)

    def add(self, pid: int) -> None:
        """Move process `pid` into the group, in every hierarchy."""
        for directory in self.directories():
            _write(directory + "/cgroup.procs", str(pid))

    def processes(self) -> list[int]:
        """All processes in the group and in groups below it."""
        found: set[int] = set()
        for directory in self._one_directory():
            for name in _below(directory):
                found.update(int(line) for line in _read(name + "/cgroup.procs").split())
        return sorted(found - {0})

    def signal_all(self, number: int) -> None:
        """Send a signal to every process in the group; a SIGKILL reaches also those that are being born."""
        if number == 9 and self.layout.unified and self._kill_unified():
            return
        try:
            self.freeze()
            frozen = True
        except Unavailable:
            frozen = False
        try:
            for pid in self.processes():
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
        finally:
            if frozen:
                self.thaw()

    def freeze(self) -> None:
        """Stop every process of the group; comes back when all are stopped."""
        self._freezer(v1.FROZEN)

    def thaw(self) -> None:
        """Let them go on."""
        self._freezer(v1.THAWED)

    def is_frozen(self) -> bool:
        """Whether the group is paused (or being paused)."""
        if "freezer" in self.layout.controllers:
            return _read(self.directory("freezer") + "/freezer.state").strip() != v1.THAWED
        return _read(self.layout.unified + self.path + "/cgroup.freeze").strip() == "1"

    def remove(self) -> None:
        """Take the group away, with groups that the container made below it, and parents that `create` had made.

        Raises:
            Conflict: processes are still in it after five seconds.
        """
        for directory in self.directories():
            for name in sorted(_below(directory), key=len, reverse=True):
                _remove(name)
        for directory in reversed(self.made):
            try:
                os.rmdir(directory)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EBUSY):
                    raise

    def _places(self) -> list[str]:
        return [*self.layout.hierarchies(), *((self.layout.unified,) if self.layout.unified else ())]

    def _one_directory(self) -> Iterator[str]:
        """Hierarchies that see every process: one is enough, and it must be one that the container cannot leave."""
        for controller in ("pids", "memory", "devices", "freezer"):
            if controller in self.layout.controllers:
                yield self.layout.controllers[controller] + self.path
                return
        yield from self.directories()

    def _kill_unified(self) -> bool:
        try:
            _write(self.layout.unified + self.path + "/cgroup.kill", "1")
        except (FileNotFoundError, NotADirectoryError):
            return False  # before Linux 5.14
        # In the hybrid shape a process may sit elsewhere in version 2: look with version 1 too.
        for pid in self.processes():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        return True

    def _freezer(self, wanted: str) -> None:
        if "freezer" in self.layout.controllers:
            file = self.directory("freezer") + "/freezer.state"
            for _ in range(_ATTEMPTS):
                _write(file, wanted)
                if _read(file).strip() == wanted:
                    return
                _wait()
            raise Conflict(f"the processes of {self.path} could not be {wanted.lower()} within five seconds")
        if not self.layout.unified:
            raise Unavailable("pausing needs the freezer controller, which is not mounted")
        directory = self.layout.unified + self.path
        state = "1" if wanted == v1.FROZEN else "0"
        _write(directory + "/cgroup.freeze", state)
        for _ in range(_ATTEMPTS):
            if f"frozen {state}" in _read(directory + "/cgroup.events"):
                return
            _wait()
        raise Conflict(f"the processes of {self.path} could not be {wanted.lower()} within five seconds")


def open_group(path: str) -> Group:
    """The group `path` on this machine, not made yet.

    Raises:
        InvalidInput: the path leads elsewhere.
        Unavailable: there are no control groups.
    """
    return Group(detect(), path)


def _clean(path: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise InvalidInput(f"{path!r} cannot be a control group's path")
    return "/" + "/".join(parts)


def make_directories(place: str, path: str) -> list[str]:
    """Make `path` below `place`; gives the directories above the last that had to be made."""
    made: list[str] = []
    parts = path.strip("/").split("/")
    for attempt in range(10):
        try:
            current = place
            for position, part in enumerate(parts):
                current += "/" + part
                try:
                    os.mkdir(current, 0o755)
                except FileExistsError:
                    continue
                if position < len(parts) - 1:
                    made.append(current)
        except FileNotFoundError:  # another container took the parent away in between
            if attempt == 9:
                raise
            continue
        return made
    raise AssertionError("unreachable")


def _below(directory: str) -> list[str]:
    found: list[str] = []
    waiting = [directory]
    while waiting:
        current = waiting.pop()
        try:
            with os.scandir(current) as entries:
                waiting.extend(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            continue
        found.append(current)
    return found


def _remove(directory: str) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            if attempt == _ATTEMPTS - 1:
                raise Conflict(f"processes are still in the control group {directory}") from error
            _wait()
        else:
            return


def _wait() -> None:
    import select

    select.poll().poll(_PAUSE_MS)


def _read(name: str) -> str:
    with open(name, encoding="ascii", errors="replace") as file:
        return file.read()


def _write(name: str, text: str) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
