"""`state`: what is known of a container, as the spec's JSON."""

from __future__ import annotations

import os

from estiba.oci import json_text
from estiba.runtime.state import load_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from estiba.runtime.arguments import Arguments


def run(asked: Arguments, root: str) -> int:
    container = load_container(root, asked.container_id())
    os.write(1, json_text.dumps(container.document(), indent=2).encode(errors="surrogateescape") + b"\n")
    return 0
