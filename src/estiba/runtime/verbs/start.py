"""`start`: the program of a created container begins."""

from __future__ import annotations

import os

from estiba.runtime import lifecycle
from estiba.runtime.state import load_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from estiba.runtime.arguments import Arguments


def run(asked: Arguments, root: str) -> int:
    container = load_container(root, asked.container_id())
    held = container.lock()
    try:
        lifecycle.begin(container)
    finally:
        os.close(held)
    return 0
