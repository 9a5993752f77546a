"""Directories for their owner alone: below them may lie programs with set-user-ID bits, which others must not run."""

from __future__ import annotations

import os


def make_private(path: str) -> None:
    """Make the directory `path` and what is missing above it, each with mode 0700; what is there stays as it is.

    (`os.makedirs` has a mode for the last one alone.)

    Raises:
        OSError: as mkdir(2); FileExistsError where something else is in the way.
    """
    if os.path.isdir(path):
        return
    above = os.path.dirname(path.rstrip("/"))
    if above:
        make_private(above)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
