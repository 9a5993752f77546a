"""The lists of a store with a thousand images.

Podman is not asked: it takes a quarter of an hour to take in so many.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench.arena import Arena
from bench.images import MANY, many_images
from bench.measure import Row
from bench.peers.base import Engine


def images(arena: Arena) -> Row:
    return _row(arena, "The list of images", "images", lambda engine: engine.images)


def inspect(arena: Arena) -> Row:
    name = f"{MANY}{_count(arena) // 2}:latest"
    return _row(arena, "Inspecting an image", "image inspect", lambda engine: partial(engine.inspect, name))


def disk_use(arena: Arena) -> Row:
    return _row(arena, "Disk use", "system df", lambda engine: engine.disk_use)


def _row(arena: Arena, title: str, command: str, run: Callable[[Engine], Callable[[], None]]) -> Row:
    able = arena.without("Buildah", "Podman")
    archive = arena.workspace.directory / "many.tar"
    if not archive.exists():
        many_images(archive, count=_count(arena))
        for engine in able.engines:
            if not engine.problem():
                engine.load(archive)
    return Row(title, f"`{command}` with {_count(arena):,} images.", able.contenders(run), able.missing)


def _count(arena: Arena) -> int:
    return max(10, int(1000 * arena.scale))
