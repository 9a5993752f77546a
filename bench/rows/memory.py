"""The most memory that a command takes with an image of 1 GB: every process of it, sampled while it runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from bench.arena import Arena
from bench.measure import Contender, Row
from bench.peak import peak_memory
from bench.peers.podman import Podman
from bench.rows import large_images


def row(arena: Arena) -> Row:
    """Estiba's commands, and the same ones of Podman, which has no daemon either."""
    load = large_images.large(arena)
    files = large_images.files_of(arena, load)
    registry = large_images.registry_of(arena)
    layout, name = f"oci:{files.layout}:latest", large_images.name_of(load)
    pushed, copied = f"{registry.address}/bench/{load.key}:latest", f"{registry.address}/bench/copied:latest"
    place = arena.workspace.directory / "for-memory"
    estiba = large_images.estiba_of(arena)
    podman = next((peer for peer in arena.engines if isinstance(peer, Podman) and not peer.problem()), None)
    context = large_images.context_of(arena, load)

    engines = [engine for engine in (estiba, podman) if engine is not None]

    def fresh() -> None:
        """No image anywhere."""
        registry.stop()
        registry.start()
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for engine in engines:
            large_images.forget(engine, name)
            large_images.forget(engine, pushed)

    def in_registry() -> None:
        fresh()
        estiba.copy(layout, pushed)

    def built() -> None:
        fresh()
        for engine in engines:
            engine.build(context, pushed, cached=False)

    def loaded() -> None:
        fresh()
        for engine in engines:
            engine.load(files.archive)

    steps: list[tuple[str, list[str], Callable[[], None]]] = [
        ("pull", ["pull", pushed], in_registry),
        ("build", ["build", "--no-cache", "-t", pushed, str(context)], fresh),
        ("push", ["push", pushed], built),
        ("load", ["load", "-i", str(files.archive)], fresh),
        ("save", ["save", "-o", str(place / "saved.tar"), name], loaded),
    ]
    contenders = [_contender(f"Estiba {what}", [*estiba.command, *words], before) for what, words, before in steps]
    contenders.append(_contender("Estiba copy", [*estiba.command, "copy", layout, copied], fresh))
    if podman is not None:
        flags = {"pull": ["--tls-verify=false"], "push": ["--tls-verify=false"]}
        contenders += [
            _contender(f"Podman {what}", [*podman.command, words[0], *flags.get(what, []), *words[1:]], before)
            for what, words, before in steps
            if what != "build"
        ]
    note = f"With {load.what}: the sum of the proportional set sizes of all processes of the command, sampled."
    return Row("Peak memory", note, tuple(contenders), {} if podman else {"Podman": arena.missing["Podman"]})


def _contender(name: str, command: list[str], before: Callable[[], None]) -> Contender:
    return Contender(name, lambda: peak_memory(command), before)
