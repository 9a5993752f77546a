"""The same docker command on our daemon and on dockerd: what a container's life and a further process take there."""

from __future__ import annotations

from collections.abc import Callable

from bench.arena import Arena
from bench.measure import Contender, Row
from bench.peers.docker import Docker
from bench.peers.estiba import Estiba
from bench.workspace import call

_LIFE = ("run", "--rm", "--network", "none", "busybox", "true")


def run(arena: Arena) -> Row:
    return _row(arena, "The docker command: run", "`docker run --rm --network none busybox true`", *_LIFE)


def enter(arena: Arena) -> Row:
    return _row(arena, "The docker command: exec", "`docker exec kept true`", "exec", "kept", "true", keeps=True)


def list_(arena: Arena) -> Row:
    return _row(arena, "The docker command: ps", "`docker ps`, with one container that runs", "ps", keeps=True)


def _row(arena: Arena, title: str, note: str, *words: str, keeps: bool = False) -> Row:
    contenders: list[Contender] = []
    missing: dict[str, str] = {}
    for engine in arena.engines:
        if not isinstance(engine, Estiba | Docker):
            continue
        if engine.problem() or not (command := engine.docker_command()):
            missing[engine.name] = engine.problem() or "the docker command is not installed"
            continue
        before: Callable[[], None] = engine.keep_one if keeps else _nothing
        contenders.append(Contender(engine.name, _caller((*command, *words)), before))
    return Row(title, note + ", on `estiba daemon` and on dockerd.", tuple(contenders), missing)


def _caller(words: tuple[str, ...]) -> Callable[[], None]:
    def run() -> None:
        call(list(words))

    return run


def _nothing() -> None: ...
