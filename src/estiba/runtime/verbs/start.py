"""`start`: the program of a created container begins."""

from __future__ import annotations

from estiba.runtime import lifecycle
from estiba.runtime.state import load_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from estiba.runtime.arguments import Arguments


def run(asked: Arguments, root: str) -> int:
    lifecycle.begin_locked(load_container(root, asked.container_id()))
    return 0
