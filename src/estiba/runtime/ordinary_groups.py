"""The control group of an ordinary user's container: below one that the user was given, or a scope of systemd's."""

from __future__ import annotations

from estiba.errors import EstibaError, Unavailable
from estiba.linux.cgroups import delegation, v2
from estiba.linux.cgroups.group import Group
from estiba.linux.cgroups.layout import detect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def group_for(path: str, container_id: str, resources: dict[str, Any], annotations: dict[str, str]) -> Group | None:
    """The group `path` for a container of this user; None where there is none to be had, and no limit needs one.

    What lies below the user's own part of version 2 costs nothing, so it comes first. systemd reaches further: it moves
    processes out of a login session's group too, but is asked only for limits.

    Raises:
        Unavailable: there are limits, and nobody to keep them.
    """
    layout = detect()
    if not layout.is_unified:
        return Group(layout, path)  # only where somebody gave this user the very place
    needed = controllers_of(resources)
    given = delegation.find(layout)
    if given is not None and needed <= set(given.controllers):
        return Group(layout, path if path.startswith(given.path + "/") else given.path + path)
    if not needed:
        return None
    from estiba.runtime.managers import open_user_scope

    try:
        return open_user_scope("", container_id, annotations)
    except EstibaError as error:
        problem = f"{_lack(given, needed)}; {error.message}"
    raise Unavailable(f"limits ({', '.join(sorted(needed))}) need a control group: {problem}", remedy=delegation.REMEDY)


def controllers_of(resources: dict[str, Any]) -> set[str]:
    """The controllers of version 2 that the limits need."""
    files = [file for file, _ in v2.files({**resources, "devices": ()})]
    if resources.get("hugepageLimits"):
        files.append("hugetlb.")
    return {file.partition(".")[0] for file in files}


def _lack(given: delegation.Delegated | None, needed: set[str]) -> str:
    if given is None:
        return "this user may make none"
    missing = ", ".join(sorted(needed - set(given.controllers)))
    return f"in {given.path or '/'}, which this user may use, the controllers {missing} are missing"
