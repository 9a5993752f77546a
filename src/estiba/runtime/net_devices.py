"""Network devices of the host that go to the container (config-linux.md, "Network Devices").

They are moved when the container's network namespace is there and before any hook runs. Nothing brings them back: with
the namespace a physical device returns to the host by itself, and a virtual one ends (network_namespaces(7)).
"""

from __future__ import annotations

import os

from estiba.linux import link_moves
from estiba.runtime.errors import BadBundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def move_all(devices: Mapping[str, Mapping[str, Any] | None], pid: int) -> None:
    """Move each device to the network namespace of process `pid`.

    Raises:
        BadBundle: one cannot be moved; those before it are back.
    """
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    moved: list[link_moves.Moved] = []
    try:
        for name, settings in devices.items():
            new_name = (settings or {}).get("name") or name
            try:
                moved.append(link_moves.move(name, new_name, namespace))
            except OSError as error:
                for done in reversed(moved):
                    link_moves.move_back(done, namespace)
                raise BadBundle(f"linux.netDevices: {error.strerror}") from None
    finally:
        os.close(namespace)
