"""`delete`: what is left of a stopped container goes away."""

from __future__ import annotations

import os

from estiba.runtime import lifecycle
from estiba.runtime.errors import ContainerUnknown, WrongStatus
from estiba.runtime.state import load_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from estiba.runtime.arguments import Arguments


def run(asked: Arguments, root: str) -> int:
    is_forced = asked.has("force")
    try:
        container = load_container(root, asked.container_id())
        held = container.lock()
    except ContainerUnknown:
        if is_forced:
            return 0
        raise
    try:
        status = container.status()
        # A created container has no program yet that would be lost.
        if status not in ("stopped", "created") and not is_forced:
            raise WrongStatus(
                f"cannot delete container {container.id} that is not stopped: {status}",
                remedy="Kill it first, or use delete --force.",
            )
        lifecycle.destroy(container)
    finally:
        os.close(held)
    return 0
