"""What layers are filled with: text, noise and small files, made once for a run and the same in every one.

Text is pieces of the Python library that the benchmark itself runs on: real text, and there on every machine.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

_PIECE = 64 << 10
_MEDIAN_SMALL, _LARGEST_SMALL = 3000, 100_000


class Corpus:
    """Trees below `directory`, each made when it is first asked for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def text(self, size: int, *, files: int = 5, seed: int = 1) -> Path:
        """A directory with `files` files of text, `size` bytes together."""
        return self._made(f"text-{size}-{seed}", lambda place: self._fill(place, size, files, seed, texts=files))

    def noise(self, size: int, *, files: int = 5, seed: int = 1) -> Path:
        """The same of random bytes."""
        return self._made(f"noise-{size}-{seed}", lambda place: self._fill(place, size, files, seed, texts=0))

    def mixed(self, size: int, *, files: int = 8, seed: int = 1) -> Path:
        """Three quarters text, the rest random bytes: about what binaries and libraries compress to."""
        texts = files * 3 // 4
        return self._made(f"mixed-{size}-{seed}", lambda place: self._fill(place, size, files, seed, texts=texts))

    def small_files(self, count: int, *, seed: int = 1) -> Path:
        """`count` files of text in directories of 100; the sizes are those of a tree of sources, 5 kB on average."""

        def fill(place: Path) -> None:
            source = random.Random(seed)
            for number in range(count):
                folder = place / f"d{number // 100:03}"
                folder.mkdir(parents=True, exist_ok=True)
                size = int(min(source.lognormvariate(0, 1.0) * _MEDIAN_SMALL, _LARGEST_SMALL))
                start = source.randrange(len(self._pool) - _LARGEST_SMALL)
                (folder / f"f{number:05}.py").write_bytes(self._pool[start : start + size])

        return self._made(f"small-{count}-{seed}", fill)

    def _fill(self, place: Path, size: int, files: int, seed: int, *, texts: int) -> None:
        source = random.Random(seed)
        for number in range(files):
            with (place / f"file{number}").open("wb") as file:
                left = size // files
                while left:
                    length = min(_PIECE, left)
                    if number < texts:
                        start = source.randrange(len(self._pool) - _PIECE)
                        file.write(self._pool[start : start + length])
                    else:
                        file.write(source.randbytes(length))
                    left -= length

    def _made(self, name: str, fill: Callable[[Path], None]) -> Path:
        place = self._directory / name
        if not place.exists():
            place.mkdir(parents=True)
            fill(place)
        return place

    @cached_property
    def _pool(self) -> bytes:
        library = Path(os.__file__).parent
        sources = sorted(path for path in library.rglob("*.py") if "site-packages" not in path.parts)
        return b"".join(path.read_bytes() for path in sources)
