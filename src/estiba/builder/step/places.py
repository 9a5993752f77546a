"""Trees that a step reads or changes, raised from what a `Place` says of them."""

from __future__ import annotations

import os

from estiba.builder.step.job import Place
from estiba.linux import mounts


def raise_place(place: Place, target: str) -> str:
    """Mount a place on `target`, which is made; gives where it can be read."""
    if not place.mounts:
        return place.directory
    os.mkdir(target, 0o700)
    mounts.mount_all(place.mounts, target)
    return target
