"""Who makes a container's control group: we ourselves (cgroupfs), systemd, or nobody (disabled).

This is where the runtime reads its environment: the addresses of buses are nowhere else (D-Bus specification,
"Well-known Message Bus Instances").
"""

from __future__ import annotations

import os

from estiba.errors import InvalidInput
from estiba.linux.namespaces import has_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from estiba.linux.cgroups.systemd.scope import ScopeGroup
    from estiba.runtime.arguments import Arguments
    from estiba.runtime.lifecycle import ScopeOpener

MANAGERS = ("cgroupfs", "systemd", "disabled")


def manager_of(asked: Arguments) -> str:
    """``--systemd-cgroup`` (runc's flag) or ``--cgroup-manager NAME`` (crun's), cgroupfs where neither is given.

    Raises:
        InvalidInput: there is no such manager.
    """
    manager = "systemd" if asked.has("systemd-cgroup") else asked.value("cgroup-manager", "cgroupfs")
    if manager not in MANAGERS:
        raise InvalidInput(
            f"there is no manager of control groups {manager!r}", remedy=f"Managers are {', '.join(MANAGERS)}."
        )
    return manager


def scope_opener(asked: Arguments) -> ScopeOpener | None:
    """What plans a container's scope, where systemd is asked for: the machine's for root, else the user's own."""
    if manager_of(asked) != "systemd":
        return None
    return lambda path, container_id, annotations: _open(path, container_id, annotations)


def _open(path: str, container_id: str, annotations: dict[str, str]) -> ScopeGroup:
    from estiba.linux.cgroups.systemd import bus
    from estiba.linux.cgroups.systemd.scope import open_scope

    if not has_root():
        return open_user_scope(path, container_id, annotations)
    address = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or bus.system_address()
    return open_scope(path, container_id, annotations=annotations, address=address, is_user=False)


def open_user_scope(path: str, container_id: str, annotations: dict[str, str]) -> ScopeGroup:
    """As `open_scope`, of the user's own systemd."""
    from estiba.linux.cgroups.systemd import bus
    from estiba.linux.cgroups.systemd.scope import open_scope

    directory = os.environ.get("XDG_RUNTIME_DIR", "")
    address = os.environ.get("DBUS_SESSION_BUS_ADDRESS") or bus.user_address(directory)
    return open_scope(path, container_id, annotations=annotations, address=address, is_user=True)
