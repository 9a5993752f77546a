"""The most memory that a command takes with an image of 1 GB: every process of it, sampled while it runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial

from bench.arena import Arena
from bench.measure import Contender, Row
from bench.peak import peak_memory
from bench.peers.base import Engine
from bench.peers.estiba import Estiba
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

    def fresh(engine: Engine) -> None:
        """No image in the engine or the registry."""
        registry.stop()
        registry.start()
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        large_images.forget(engine, name)
        large_images.forget(engine, pushed)

    def in_registry(engine: Engine) -> None:
        fresh(engine)
        estiba.copy(layout, pushed)

    def built(engine: Engine) -> None:
        fresh(engine)
        engine.build(context, pushed, cached=False)

    def loaded(engine: Engine) -> None:
        fresh(engine)
        engine.load(files.archive)

    def steps(engine: Estiba | Podman, *insecure: str) -> list[Contender]:
        def step(what: str, words: list[str], before: Callable[[Engine], None]) -> Contender:
            command = [*engine.command, *words]
            return Contender(f"{engine.name} {what}", partial(peak_memory, command), partial(before, engine))

        return [
            step("pull", ["pull", *insecure, pushed], in_registry),
            step("push", ["push", *insecure, pushed], built),
            step("load", ["load", "-i", str(files.archive)], fresh),
            step("save", ["save", "-o", str(place / "saved.tar"), name], loaded),
        ]

    build = [*estiba.command, "build", "--no-cache", "-t", pushed, str(context)]
    copy = [*estiba.command, "copy", layout, copied]
    contenders = [
        *steps(estiba),
        Contender("Estiba build", partial(peak_memory, build), partial(fresh, estiba)),
        Contender("Estiba copy", partial(peak_memory, copy), partial(fresh, estiba)),
        *(steps(podman, "--tls-verify=false") if podman is not None else ()),
    ]
    note = f"With {load.what}: the sum of the proportional set sizes of all processes of the command, sampled."
    return Row("Peak memory", note, tuple(contenders), {} if podman else {"Podman": arena.missing["Podman"]})
