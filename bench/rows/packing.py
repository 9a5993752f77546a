"""Packing a layer: tar, diff ID, gzip and the blob's digest, of a tree."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from bench.arena import Arena
from bench.measure import Contender, Row
from bench.workspace import calling

WORK = str(Path(__file__).parent.parent / "work.py")

# Both digests as ours has them; every process is waited for.
_PIPELINE = """
rm -f "$2".a "$2".b; mkfifo "$2".a "$2".b
openssl sha256 <"$2".a >"$2".diff-id & openssl sha256 <"$2".b >"$2".digest &
tar -C "$1" -cf - . | tee "$2".a | pigz -1 | tee "$2".b >"$2"; wait
"""


def small_files(arena: Arena) -> Row:
    count = max(100, int(10_000 * arena.scale))
    return _row(arena, arena.corpus.small_files(count), f"{count:,} small files of text")


def text(arena: Arena) -> Row:
    size = int(500_000_000 * arena.scale)
    return _row(arena, arena.corpus.text(size), f"{size / 1e6:.0f} MB of text")


def noise(arena: Arena) -> Row:
    size = int(500_000_000 * arena.scale)
    return _row(arena, arena.corpus.noise(size), f"{size / 1e6:.0f} MB of random bytes")


def _row(arena: Arena, tree: Path, what: str) -> Row:
    out = arena.workspace.directory / "packed"

    contenders = [Contender("Estiba", calling(sys.executable, WORK, "pack", str(tree), str(out)))]
    missing = {name: f"{name} is not installed" for name in ("pigz", "openssl") if shutil.which(name) is None}
    if not missing:
        contenders.append(Contender("tar, pigz -1, openssl", calling("sh", "-c", _PIPELINE, "sh", str(tree), str(out))))
    note = f"{what}: tar, diff ID, gzip and digest; against `tar | pigz -1` with both digests by `openssl sha256`."
    return Row(f"Packing {what}", note, tuple(contenders), missing)
