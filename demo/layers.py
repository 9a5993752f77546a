"""The layers of an image, as tables: here, and on their way to a registry."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import NamedTuple

from demo.registry_view import Layer
from demo.stage import Installation
from demo.telling import Telling, size


class Made(NamedTuple):
    """A layer in a store: the Dockerfile's line that made it, and its bytes unpacked."""

    instruction: str
    size: int


def made(installation: Installation, name: str) -> list[Made]:
    """An image's layers from the bottom up. Which steps made one its configuration knows, which the ID names."""
    told = installation.estiba("history", "--no-trunc", "--no-human", "--format", "json", name).output
    steps = [json.loads(line) for line in told.splitlines()]
    config = f"{installation.root}/blobs/{steps[0]['ID'].replace(':', '/')}"
    with open(config, encoding="utf-8") as file:
        history = json.load(file)["history"]
    return [
        Made(instruction(step["CreatedBy"]), int(step["Size"]))
        for step, line in zip(reversed(steps), history, strict=True)
        if not line.get("empty_layer")
    ]


def size_of(installation: Installation, name: str) -> int:
    """The bytes of an image on disk."""
    return sum(layer.size for layer in made(installation, name))


def show_layers(telling: Telling, installation: Installation, name: str) -> None:
    """What made each layer, its digest and its size on disk."""
    digests = json.loads(installation.estiba("inspect", name).output)[0]["RootFS"]["Layers"]
    rows = [
        (layer.instruction, short(digest), size(layer.size))
        for layer, digest in zip(made(installation, name), digests, strict=True)
    ]
    telling.table(("layer", "diff ID", "unpacked"), rows, right=("unpacked",))


def show_blobs(telling: Telling, layers: Iterable[Layer], *, known: Collection[str] = ()) -> None:
    """What of an image travelled to the registry, and what was there already."""
    rows = [
        (
            instruction(layer.created_by),
            short(layer.digest),
            size(layer.size),
            "was there" if layer.digest in known else "sent",
        )
        for layer in layers
    ]
    telling.table(("layer", "blob digest", "compressed", ""), rows, right=("compressed",))


def instruction(created_by: str) -> str:
    """A history entry as the Dockerfile has it, cut to a line of the table."""
    words = " ".join(created_by.replace("RUN /bin/sh -c ", "RUN ").split())
    return words if len(words) <= 60 else words[:59] + "…"


def short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]
