"""A disk of the benchmark's own: a new ext4 filesystem with a journal in a file, mounted where nobody else sees it.

So what others write is not waited for, and what one contender has just deleted does not slow down the next: without a
journal, ext4 looks at every inode that was freed in the last minutes before it gives out another one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from bench.workspace import CommandFailed, call

_SIZE = 60 << 30  # of which the file takes what is written


@contextlib.contextmanager
def own_disk(directory: Path) -> Iterator[Path]:
    """A directory on such a disk, below `directory`; this process has a mount namespace of its own from then on.

    Where that cannot be, it is a plain directory.
    """
    from estiba.linux.mounts import make_private_namespace

    place, image = directory / "disk", directory / "disk.img"
    place.mkdir()
    try:
        if shutil.which("mkfs.ext4") is None:
            raise CommandFailed("mkfs.ext4 is not installed")
        with image.open("wb") as file:
            file.truncate(_SIZE)
        call(["mkfs.ext4", "-q", str(image)])
        make_private_namespace()
        call(["mount", "-o", "loop", str(image), str(place)])
    except (CommandFailed, OSError):
        image.unlink(missing_ok=True)
        yield place
        return
    try:
        yield place
    finally:
        os.sync()
        call(["umount", str(place)])
