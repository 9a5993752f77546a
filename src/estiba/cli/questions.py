"""Asking before something is removed."""

from __future__ import annotations

import sys


def agrees(question: str) -> bool:
    """Whether the user answers y; no terminal, no answer, no agreement."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
