"""`kill`: a signal for a container's first process, or for all of them."""

from __future__ import annotations

from estiba.linux.signals import parse_signal
from estiba.runtime.signalling import signal_container
from estiba.runtime.state import load_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from estiba.runtime.arguments import Arguments


def run(asked: Arguments, root: str) -> int:
    container = load_container(root, asked.container_id())
    number = parse_signal(asked.operands[1] if len(asked.operands) > 1 else "TERM")
    signal_container(container, number, everything=asked.has("all"))
    return 0
