"""Trees that a step reads or changes, raised from what a `Place` says of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from estiba.builder.step.job import Place
from estiba.linux import mounts

if TYPE_CHECKING:
    from estiba.linux.own_ids import OwnIds


def raise_place(place: Place, target: str) -> str:
    """Mount a place on `target`, which is made; gives where it can be read."""
    if not place.mounts:
        return place.directory
    os.mkdir(target, 0o700)
    mounts.mount_all(place.mounts, target)
    return target


def raise_mapped(place: Place, target: str, own: OwnIds) -> str:
    """As `raise_place`, with the owners that the files have inside `own`; always mounted on `target`."""
    os.mkdir(target, 0o700)
    if place.mounts:
        own.mount_rootfs(place.mounts, target, f"{target}.layers")
    else:
        own.show(place.directory, target)
    return target
