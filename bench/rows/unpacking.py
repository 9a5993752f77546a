"""Unpacking layers: one with both its digests verified, and four at once."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.arena import Arena
from bench.images import ImageFiles, image_of
from bench.measure import Contender, Row
from bench.peers.base import Engine
from bench.rows.large_images import forget
from bench.rows.packing import WORK
from bench.workspace import call, calling

_NAME = "localhost/bench/unpacking:latest"


def small_files(arena: Arena) -> Row:
    count = max(100, int(10_000 * arena.scale))
    image = _image(arena, "unpack-small", [arena.corpus.small_files(count)])
    return _one_layer(arena, image, f"{count:,} small files")


def text(arena: Arena) -> Row:
    size = int(250_000_000 * arena.scale)
    image = _image(arena, "unpack-text", [arena.corpus.text(size)])
    return _one_layer(arena, image, f"{size / 1e6:.0f} MB of text")


def four_layers(arena: Arena) -> Row:
    """One image into a new store: its layers at once, and one after the other."""
    count = max(100, int(5_000 * arena.scale))
    image = _image(arena, "unpack-four", [arena.corpus.small_files(count, seed=seed) for seed in range(4)])
    layers = json.dumps([(str(layer.blob), layer.digest, layer.diff_id, layer.size) for layer in image.layers])
    place = _place(arena)

    def into(workers: int) -> Callable[[], None]:
        return calling(sys.executable, WORK, "stack", str(workers), str(place), layers)

    contenders = (
        Contender("Estiba, at once", into(os.cpu_count() or 1), _cleared(place)),
        Contender("Estiba, one after the other", into(1), _cleared(place)),
        *_peers(arena, image, place),
    )
    note = f"Four layers of {count:,} small files each, verified, into a new store."
    return Row("Unpacking four layers", note, contenders, _missing(arena))


def _one_layer(arena: Arena, image: ImageFiles, what: str) -> Row:
    place = _place(arena)
    layer = image.layers[0]
    ours = calling(sys.executable, WORK, "unpack", str(layer.blob), layer.digest, layer.diff_id, str(place))

    def tar() -> None:
        place.mkdir()
        call(["tar", "-C", str(place), "-xzf", str(layer.blob)])

    contenders = (
        Contender("Estiba", ours, _cleared(place)),
        Contender("tar -xz, which verifies nothing", tar, _cleared(place)),
        *_peers(arena, image, place),
    )
    note = f"A layer of {what}, both its digests verified. umoci and Podman take in an image of this one layer."
    return Row(f"Unpacking {what}", note, contenders, _missing(arena))


def _peers(arena: Arena, image: ImageFiles, place: Path) -> list[Contender]:
    contenders = []
    if shutil.which("umoci"):
        unpack = calling("umoci", "unpack", "--image", f"{image.layout}:latest", str(place))
        contenders.append(Contender("umoci", unpack, _cleared(place)))
    contenders += [
        Contender("Podman load", partial(podman.load, image.archive), partial(forget, podman, _NAME))
        for podman in _podman(arena)
    ]
    return contenders


def _podman(arena: Arena) -> list[Engine]:
    return [engine for engine in arena.engines if engine.name == "Podman" and not engine.problem()]


def _missing(arena: Arena) -> dict[str, str]:
    missing = {} if shutil.which("umoci") else {"umoci": "umoci is not installed"}
    return missing | {name: why for name, why in arena.missing.items() if name == "Podman"}


def _image(arena: Arena, name: str, trees: list[Path]) -> ImageFiles:
    return image_of(trees, arena.workspace.directory / "images" / name, name=_NAME)


def _place(arena: Arena) -> Path:
    return arena.workspace.directory / "unpacked"


def _cleared(place: Path) -> Callable[[], None]:
    return lambda: shutil.rmtree(place, ignore_errors=True)
