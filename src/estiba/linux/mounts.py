"""Mounts as values, and the calls that make and undo them."""

from __future__ import annotations

from typing import NamedTuple


class Mount(NamedTuple):
    """One mount: `source` of filesystem `type` on `target`, relative to the root it is applied on ("" is the root).

    `options` are those of mount(8): ``ro``, ``nosuid``, ``rbind``, ``rprivate``, and data of the filesystem such as
    ``lowerdir=…`` or ``size=64m``.
    """

    type: str
    source: str
    target: str = ""
    options: tuple[str, ...] = ()
