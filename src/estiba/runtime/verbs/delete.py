"""`delete`: what is left of a stopped container goes away."""

from __future__ import annotations

from estiba.runtime import lifecycle
from estiba.runtime.errors import ContainerUnknown
from estiba.runtime.state import forget_half_made, load_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from estiba.runtime.arguments import Arguments


def run(asked: Arguments, root: str) -> int:
    is_forced = asked.has("force")
    try:
        lifecycle.delete_locked(load_container(root, asked.container_id()), is_forced=is_forced)
    except ContainerUnknown:
        if not is_forced:
            raise
        forget_half_made(root, asked.container_id())
    return 0
