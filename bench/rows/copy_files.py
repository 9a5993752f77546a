"""COPY of many small files into an image."""

from __future__ import annotations

from collections.abc import Callable

from bench.arena import Arena
from bench.measure import Row
from bench.peers.base import Engine
from bench.workspace import fill


def row(arena: Arena) -> Row:
    files = max(100, int(10_000 * arena.scale))
    context = arena.workspace.context("copy", "FROM busybox\nCOPY files /files\n")
    fill(context / "files", files=files, size=4000)

    def run(engine: Engine) -> Callable[[], None]:
        return lambda: engine.build(context, "bench-copy", cached=False)

    note = f"`build --no-cache` of `COPY files /files`: {files:,} files of 4 kB."
    return Row("COPY of many small files", note, arena.contenders(run), arena.missing)
