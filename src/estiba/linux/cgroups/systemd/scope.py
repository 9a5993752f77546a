"""A container's control group as a scope of systemd's: it begins with the container's first process, and ends by word.

A scope needs a process at its start, so `create` makes nothing, `apply` keeps the limits for later, and the first `add`
starts the unit with them and writes the files of the group. From then on it is a group like any other.
"""

from __future__ import annotations

import os

from estiba.errors import EstibaError, Unavailable
from estiba.linux.cgroups import v1, v2
from estiba.linux.cgroups.group import Group, GroupInUse, make_directories
from estiba.linux.cgroups.layout import Layout, detect
from estiba.linux.cgroups.systemd import names, properties, variants
from estiba.linux.cgroups.systemd.bus import Manager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from estiba.linux.cgroups.systemd.names import Scope
    from estiba.linux.cgroups.systemd.properties import Property


class ScopeGroup(Group):
    """The group of the unit `unit`, of the manager at `address`; `is_user`: it is a user's manager.

    `scope`, `extra` (properties that the caller wants) and `resources` matter until it is started.
    """

    __slots__ = ("_manager", "address", "extra", "is_user", "resources", "scope", "unit")

    def __init__(
        self,
        layout: Layout,
        path: str,
        made: tuple[str, ...] = (),
        *,
        unit: str,
        address: str,
        is_user: bool,
        scope: Scope | None = None,
        extra: list[Property] | None = None,
    ) -> None:
        super().__init__(layout, path, made)
        self.unit = unit
        self.address = address
        self.is_user = is_user
        self.scope = scope
        self.extra = extra or []
        self.resources: Mapping[str, Any] = {}
        self._manager: Manager | None = None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> ScopeGroup:
        layout = Layout(dict(record["controllers"]), str(record["unified"]))
        said = record["systemd"]
        return cls(
            layout,
            record["path"],
            tuple(record["made"]),
            unit=said["unit"],
            address=said["address"],
            is_user=said["is_user"],
        )

    def record(self) -> dict[str, Any]:
        said = {"unit": self.unit, "address": self.address, "is_user": self.is_user}
        return {**super().record(), "systemd": said}

    @property
    def begins_with_process(self) -> bool:
        """Whether it is still to be started, by the first process that is added."""
        return self.scope is not None

    def create(self) -> None:
        """Nothing yet; the name must be free.

        Raises:
            GroupInUse: the group exists and has processes.
        """
        if self._has_processes():
            raise GroupInUse(self.path)

    def apply(self, resources: Mapping[str, Any]) -> None:
        """Set limits: systemd's own where it has them, and all of them in the group's files.

        Raises:
            InvalidInput, Unavailable, NotThereYet: as `Group.apply`; PermissionDenied: systemd refused.
        """
        if self.begins_with_process:
            self._properties(resources)  # what cannot be is told before anything is made
            self.resources = resources
            return
        if self.layout.is_unified:
            resources = v2.completed(self.layout.unified + self.path, resources)
        try:
            wanted = self._properties(resources)
            if wanted:
                self._set(wanted)
        finally:
            self.close()
        super().apply(resources)

    def add(self, pid: int) -> None:
        """Move process `pid` into the group; the first one starts the unit.

        Raises:
            GroupInUse: there is such a unit already. Unavailable, PermissionDenied: systemd did not do it.
        """
        if self.scope is not None:
            self._start(self.scope, pid)
            return
        try:
            super().add(pid)
        except PermissionError:
            # Whoever came here from elsewhere (a login session's group) may not be moved by the user's own hand.
            if not self.is_user:
                raise
            if self.path not in _groups_of(pid):
                self._connected().attach(self.unit, pid)

    def remove(self) -> None:
        """Stop the unit, and take away what systemd leaves. Without systemd the directories go all the same.

        Raises:
            Conflict: processes are still in it after five seconds.
        """
        try:
            self._connected().stop(self.unit)
        except EstibaError:
            pass  # without systemd's help an empty scope ends by itself
        finally:
            self.close()
        super().remove()

    def close(self) -> None:
        """Let go of the bus."""
        if self._manager is not None:
            self._manager.close()
            self._manager = None

    def _connected(self) -> Manager:
        if self._manager is None:
            self._manager = Manager(self.address)
        return self._manager

    def _has_processes(self) -> bool:
        return os.path.isdir(next(iter(self._one_directory()))) and bool(self.processes())

    def _start(self, scope: Scope, pid: int) -> None:
        manager = self._connected()
        try:
            base = properties.scope_properties(scope, pid, is_unified=self.layout.is_unified)
            manager.start(self.unit, _merged(base, self._properties(self.resources), self.extra))
            self.scope = None
            self._settle(pid)
        finally:
            self.close()
        super().apply(self.resources)

    def _settle(self, pid: int) -> None:
        """The group's directories in hierarchies that systemd leaves alone, and the process in all of them."""
        found = [path for path in _groups_of(pid) if path.endswith("/" + self.unit)]
        if found and found[0] != self.path:
            self.path = found[0]  # systemd knows better where its slices are
        made: list[str] = []
        for place in self._places():
            made.extend(make_directories(place, self.path))
        self.made = tuple(made)
        if "cpuset" in self.layout.controllers:
            v1.inherit_cpuset(self.layout.controllers["cpuset"], self.path)
        if self.layout.is_unified:
            v2.delegate_controllers(self.layout.unified, self.path)
        self.add(pid)

    def _set(self, wanted: list[Property]) -> None:
        """Tell systemd. With version 1 it may deny every device for a moment, so nothing of the container runs then."""
        must_wait = not self.layout.is_unified and "freezer" in self.layout.controllers and not self.is_frozen()
        if must_wait:
            self.freeze()
        try:
            self._connected().set_properties(self.unit, wanted)
        finally:
            if must_wait:
                self.thaw()

    def _properties(self, resources: Mapping[str, Any]) -> list[Property]:
        with open("/proc/devices", encoding="utf-8", errors="replace") as file:
            groups = file.read()
        return properties.resource_properties(
            resources,
            is_unified=self.layout.is_unified,
            version=self._connected().version,
            has_devices=not self.is_user,
            groups=groups,
            is_update=not self.begins_with_process,
        )


def open_scope(
    cgroups_path: str, container_id: str, *, annotations: Mapping[str, str], address: str, is_user: bool
) -> ScopeGroup:
    """The scope for a container, not started yet; systemd has been asked where it will be.

    Raises:
        InvalidInput: `cgroups_path` is not slice:prefix:name, or an annotation sets no property.
        GroupInUse: there is such a scope, with processes.
        Unavailable: there is no bus, no systemd on it, or a user's systemd cannot manage groups here.
    """
    scope = names.scope_of(cgroups_path, container_id, is_user=is_user)
    extra = variants.properties(annotations)
    layout = detect()
    if is_user and not layout.is_unified:
        raise Unavailable(
            "a user's systemd manages control groups of version 2 alone, and this machine has version 1",
            remedy="Boot with systemd.unified_cgroup_hierarchy=1, use --cgroup-manager disabled, or let root run it.",
        )
    manager = Manager(address)
    group = ScopeGroup(
        layout,
        manager.root + scope.path(),
        unit=scope.unit,
        address=address,
        is_user=is_user,
        scope=scope,
        extra=extra,
    )
    group._manager = manager
    group.create()
    return group


def _merged(*parts: list[Property]) -> list[Property]:
    """A property once, as the last part has it: some of systemd's add up where they are given twice."""
    found: dict[str, Property] = {}
    for part in parts:
        for name, value in part:
            found.pop(name, None)
            found[name] = (name, value)
    return list(found.values())


def _groups_of(pid: int) -> list[str]:
    """The paths of a process's groups in all hierarchies."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            return [line.rstrip("\n").split(":", 2)[2] for line in file]
    except FileNotFoundError:
        return []
