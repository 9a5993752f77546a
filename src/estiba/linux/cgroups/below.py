"""Groups that a container made below its own, for a process that joins one of them."""

from __future__ import annotations

import os

from estiba.errors import InvalidInput
from estiba.linux.cgroups.group import Group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class GroupBelow(Group):
    """As the group it is made from, but processes are added below it: `below` has the path by hierarchy."""

    __slots__ = ("below",)
    below: dict[str, str]

    def directories(self) -> list[str]:
        return [directory + self.below.get(directory, "") for directory in super().directories()]


def group_below(group: Group, texts: Iterable[str]) -> GroupBelow:
    """The place for a process, by texts such as ``sub/group`` (everywhere) or ``memory,cpu:sub`` (those controllers).

    Raises:
        InvalidInput: a path leads out, a controller is not there, or there is no such group.
    """
    found = GroupBelow(group.layout, group.path, group.made)
    found.below = {}
    for text in texts:
        names, colon, path = text.rpartition(":")
        if ".." in path.split("/"):
            raise InvalidInput(f"{path!r} is a bad sub cgroup path: it leads out of the container's group")
        wanted = Group.directories(group)
        if colon:
            unknown = [name for name in names.split(",") if name not in group.layout.controllers]
            if unknown:
                raise InvalidInput(f"unknown controller {unknown[0]!r}")
            wanted = [group.directory(name) for name in names.split(",")]
        clean = "".join("/" + part for part in path.split("/") if part not in ("", "."))
        for directory in wanted:
            if not os.path.isdir(directory + clean):
                raise InvalidInput(f"adding pid to {directory + clean}: no such file or directory")
            found.below[directory] = clean
    return found
