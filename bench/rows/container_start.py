"""How long a command takes in a new container, everything included: create, start, wait, remove."""

from __future__ import annotations

from collections.abc import Callable

from bench.arena import Arena
from bench.measure import Row
from bench.peers.base import Engine


def row(arena: Arena) -> Row:
    return _row(arena, network=False, title="Container start", note="`run --rm --network none busybox true`")


def row_with_network(arena: Arena) -> Row:
    return _row(
        arena,
        network=True,
        title="Container start with a network",
        note="`run --rm busybox true`, on each engine's bridge",
    )


def _row(arena: Arena, *, network: bool, title: str, note: str) -> Row:
    able = arena.without("Buildah")

    def run(engine: Engine) -> Callable[[], None]:
        return lambda: engine.run(network=network)

    return Row(title, note + ".", able.contenders(run), able.missing)
