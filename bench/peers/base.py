"""What a row asks of an engine or a registry."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Engine(Protocol):
    """Something that builds, runs, pushes and pulls. Lives between `start` and `stop`, in directories of its own."""

    name: str

    def problem(self) -> str:
        """Why this engine cannot take part here; "" if it can. Asked after `start`."""

    def start(self, base: Path) -> None:
        """Makes ready, with the tar `base` imported as the image `busybox`."""

    def stop(self) -> None:
        """Ends everything that `start` began, and removes what the engine left on the machine."""

    def run(self, *, network: bool) -> None:
        """`run --rm busybox true`, with the engine's own bridge network or with none."""

    def keep_one(self) -> None:
        """A container `kept` that sleeps until `stop`; there is one, however often this is called."""

    def enter(self) -> None:
        """`exec kept true`."""

    def list(self) -> None:
        """`ps`."""

    def build(self, context: Path, tag: str, *, cached: bool) -> None: ...

    def push(self, reference: str) -> None: ...

    def pull(self, reference: str) -> None: ...

    def remove_image(self, reference: str) -> None:
        """The image, and whatever else would make the next build, push or pull of it shorter than the first."""

    def load(self, archive: Path) -> None: ...

    def save(self, reference: str, archive: Path) -> None: ...

    def images(self) -> None:
        """The list of images."""

    def inspect(self, reference: str) -> None:
        """An image's record."""

    def disk_use(self) -> None:
        """`system df`."""


class Registry(Protocol):
    """A registry on a loopback address. Lives between `start` and `stop`."""

    name: str
    address: str

    def problem(self) -> str: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...
