"""How long a command takes in a new container, everything included: create, start, wait, remove."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bench.arena import Arena
from bench.measure import Row
from bench.peers.base import Engine

_MANY = 100


def row(arena: Arena) -> Row:
    return _row(arena, network=False, title="Container start", note="`run --rm --network none busybox true`")


def row_with_network(arena: Arena) -> Row:
    return _row(
        arena,
        network=True,
        title="Container start with a network",
        note="`run --rm busybox true`, on each engine's bridge",
    )


def at_once(arena: Arena) -> Row:
    able = arena.without("Buildah")

    def run(engine: Engine) -> Callable[[], None]:
        def all_of_them() -> None:
            with ThreadPoolExecutor(_MANY) as threads:
                for done in [threads.submit(engine.run, network=False) for _ in range(_MANY)]:
                    done.result()

        return all_of_them

    note = f"{_MANY} times `run --rm --network none busybox true`, all at the same time."
    return Row("Many containers at once", note, able.contenders(run), able.missing, _MANY)


def _row(arena: Arena, *, network: bool, title: str, note: str) -> Row:
    able = arena.without("Buildah")

    def run(engine: Engine) -> Callable[[], None]:
        return lambda: engine.run(network=network)

    return Row(title, note + ".", able.contenders(run), able.missing)
