"""A build of a few steps: everything anew, and everything from the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.arena import Arena
from bench.measure import Row
from bench.peers.base import Engine
from bench.workspace import fill

_DOCKERFILE = """\
FROM busybox
WORKDIR /app
COPY sources ./sources
RUN ls -R sources >listing
RUN mkdir out && cp listing out/first
RUN cat out/first out/first >out/second
ENV GREETING=hello
CMD ["cat", "out/second"]
"""


def uncached(arena: Arena) -> Row:
    """Every step runs. The context has 100 files."""
    context = _context(arena)

    def run(engine: Engine) -> Callable[[], None]:
        return lambda: engine.build(context, "bench-build", cached=False)

    note = "`build --no-cache`: COPY of 100 files and three RUN steps on busybox."
    return Row("Uncached build", note, arena.contenders(run), arena.missing)


def cached(arena: Arena) -> Row:
    """Nothing changed since the last build."""
    context = _context(arena)

    def run(engine: Engine) -> Callable[[], None]:
        return lambda: engine.build(context, "bench-build", cached=True)

    note = "The same build again, with nothing changed."
    return Row("Cached build", note, arena.contenders(run), arena.missing)


def _context(arena: Arena) -> Path:
    context = arena.workspace.context("build", _DOCKERFILE)
    fill(context / "sources", files=100, size=2000)
    return context
