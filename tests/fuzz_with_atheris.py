"""Fuzzing led by coverage, started by `scripts/fuzz`: ``fuzz_with_atheris.py TARGET [libFuzzer's arguments]``.

A fault ends it with a traceback, and the bytes that led to it lie in the working directory (``crash-…``).
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["estiba"]):
    from fuzzing import SEEDS, TARGETS, check, resealed


def main() -> None:
    name, *arguments = sys.argv[1:]
    if name not in TARGETS:
        sys.exit(f"no target {name!r}: {', '.join(TARGETS)}")
    for number, seed in enumerate(SEEDS[name]):
        with open(f"seed-{number}", "wb") as file:
            file.write(seed)

    def mutate(data: bytes, largest: int, seed: int) -> bytes:
        return resealed(atheris.Mutate(data, len(data)))[:largest]

    # Of a tar with a wrong checksum nothing is read: most are mended.
    custom = {"custom_mutator": mutate} if name in ("tar", "archive", "add") else {}
    atheris.Setup([sys.argv[0], *arguments, "."], lambda data: check(name, data), **custom)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
