"""Lists of names on standard output."""

from __future__ import annotations

import json
from collections.abc import Sequence


def show(names: Sequence[str], *, as_json: bool) -> None:
    """A name on a line, or all as a JSON list."""
    if as_json:
        print(json.dumps(list(names)))
        return
    for name in names:
        print(name)
