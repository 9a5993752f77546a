"""What is done again and again while a container runs: one more process in it, and the list of containers."""

from __future__ import annotations

from bench.arena import Arena
from bench.measure import Row


def enter(arena: Arena) -> Row:
    able = arena.without("Buildah")
    contenders = able.contenders(lambda engine: engine.enter, lambda engine: engine.keep_one)
    return Row("One more process in a container", "`exec kept true`.", contenders, able.missing)


def list_(arena: Arena) -> Row:
    able = arena.without("Buildah")
    contenders = able.contenders(lambda engine: engine.list, lambda engine: engine.keep_one)
    return Row("The list of containers", "`ps`, with one container that runs.", contenders, able.missing)
