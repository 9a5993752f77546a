"""Push and pull over a loopback address, to and from the same registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from bench.arena import Arena
from bench.measure import Contender, Row
from bench.peers.base import Engine, Registry
from bench.workspace import payload

Peer = TypeVar("Peer", Engine, Registry)

_DOCKERFILE = "FROM busybox\nCOPY payload /payload\n"


def push(arena: Arena) -> Row:
    """Each run pushes a layer that the registry has never seen, compressing it on the way."""
    size = int(64_000_000 * arena.scale)

    def before(engine: Engine, registry: Registry) -> Callable[[], None]:
        context = arena.workspace.context(f"push-{engine.name}", _DOCKERFILE)

        def make_new_image() -> None:
            payload(context / "payload", size=size)
            engine.build(context, _reference(registry, engine), cached=True)

        return make_new_image

    def run(engine: Engine, registry: Registry) -> Callable[[], None]:
        return lambda: engine.push(_reference(registry, engine))

    note = f"A new layer of {size / 1e6:.0f} MB (half random, half text), compressed and sent."
    return Row("Push over loopback", note, _contenders(arena, run, before), _missing(arena))


def pull(arena: Arena) -> Row:
    """Each run pulls into a store that has the base but not the layer."""
    size = int(64_000_000 * arena.scale)
    context = arena.workspace.context("pull", _DOCKERFILE)
    payload(context / "payload", size=size)
    estiba = arena.engines[0]
    for registry in _able(arena.registries):
        estiba.build(context, f"{registry.address}/bench/pull", cached=True)
        estiba.push(f"{registry.address}/bench/pull")

    def before(engine: Engine, registry: Registry) -> Callable[[], None]:
        def forget() -> None:
            if engine.name not in pulled:
                pulled.add(engine.name)
                engine.pull(f"{registry.address}/bench/pull")
            engine.remove_image(f"{registry.address}/bench/pull")

        return forget

    def run(engine: Engine, registry: Registry) -> Callable[[], None]:
        return lambda: engine.pull(f"{registry.address}/bench/pull")

    pulled: set[str] = set()
    note = f"An image with a layer of {size / 1e6:.0f} MB: fetched, verified, decompressed, unpacked."
    return Row("Pull over loopback", note, _contenders(arena, run, before), _missing(arena))


def _reference(registry: Registry, engine: Engine) -> str:
    return f"{registry.address}/bench/{engine.name.lower()}"


def _contenders(
    arena: Arena,
    run: Callable[[Engine, Registry], Callable[[], None]],
    before: Callable[[Engine, Registry], Callable[[], None]],
) -> tuple[Contender, ...]:
    """Every engine with docker-registry, and Estiba with its own registry too."""
    ours, *theirs = _able(arena.registries)
    estiba = arena.engines[0]
    pairs = [(estiba, ours), *((engine, registry) for registry in theirs for engine in _able(arena.engines))]
    return tuple(
        Contender(f"{engine.name}, {registry.name}", run(engine, registry), before(engine, registry))
        for engine, registry in pairs
    )


def _able(peers: Sequence[Peer]) -> list[Peer]:
    return [peer for peer in peers if not peer.problem()]


def _missing(arena: Arena) -> dict[str, str]:
    missing = {registry.name: registry.problem() for registry in arena.registries if registry.problem()}
    return {**arena.missing, **missing}
