"""Giving up, before anybody in a container can see us, every right that is not needed to become its program.

A process that joins a container is in its list of processes until its exec. A container with CAP_SYS_PTRACE may trace
it there (no check of the kernel says no to that capability) and would have whatever rights it still holds. A new
container has nobody inside yet, so its first process keeps its rights until it has built the place.
"""

from __future__ import annotations

from estiba.linux import capabilities

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# Own the streams; become the user; limit the sets.
_ALWAYS = ("CAP_CHOWN", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP")


def shed(process: Mapping[str, Any], *, has_filter: bool) -> None:
    """Keep what `process` shall have and what it takes to become it; `has_filter` says whether seccomp rules follow.

    Without no_new_privs the rules take CAP_SYS_ADMIN to load, so that stays.
    """
    effective, permitted, inheritable = capabilities.current()
    if not permitted:
        return
    names = list(_ALWAYS)
    if process.get("rlimits"):
        names.append("CAP_SYS_RESOURCE")
    if process.get("scheduler") or process.get("ioPriority"):
        names += ("CAP_SYS_NICE", "CAP_SYS_ADMIN")
    if has_filter and not process.get("noNewPrivileges"):
        names.append("CAP_SYS_ADMIN")
    keep = capabilities.bits(names)
    for wanted in (process.get("capabilities") or {}).values():
        keep |= capabilities.bits(wanted or ())
    capabilities.limit_bounding(keep)
    capabilities.set_current(effective & keep, permitted & keep, inheritable & keep)
