"""What killed processes left of containers and what no other command would meet: found and cleared by `estiba gc`."""

from __future__ import annotations

import errno
import os
import time

from estiba.engine.locks import try_lock
from estiba.engine.paths import ContainerPaths
from estiba.engine.volumes import take_away
from estiba.errors import NotFound
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.engine import Engine

YOUNG = 60.0
"""Seconds: a directory may be so old before its container has a row."""


def clear(engine: Engine) -> list[str]:
    """Bring abandoned containers to an end, remove directories without a container, and give back their networks.

    Gives a sentence for each thing that was done.
    """
    done: list[str] = []
    for record in engine.containers.all():
        after = engine.fresh(record)
        if after is None or after.state != record.state:
            done.append(f"Cleaned up after container {record.name}, whose monitor is gone.")
    known = {record.id for record in engine.containers.all()}
    for directory in (f"{engine.store.paths.root}/containers", f"{engine.run}/containers"):
        done += [f"Removed {path}, which belongs to no container." for path in _strays(engine, directory, known)]
    done += [f"Volume {name} is back: its removal was killed." for name in engine.volumes.trash.take_back()]
    done += [f"Removed {path}, which was to become a volume." for path in _half_made_volumes(engine)]
    for key in engine.networks_at(engine.run).reconcile(known):
        done.append(f"Gave back what {key[:12]} had of its networks.")
    return done


def _strays(engine: Engine, directory: str, known: set[str]) -> list[str]:
    from estiba.store.snapshots.trees import remove_tree

    removed: list[str] = []
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return removed
    for name in names:
        path = f"{directory}/{name}"
        if name in known or engine.containers.get(name) or time.time() - os.lstat(path).st_mtime < YOUNG:
            continue
        paths = ContainerPaths(engine.store.paths.root, engine.run, name)
        try:
            lock = try_lock(paths.lock)
        except NotFound:
            lock = None
            if os.path.isdir(paths.directory):
                continue
        else:
            if lock is None:
                continue  # somebody is at work there
        if path == paths.directory:
            take_away(engine.store, path)
        else:
            remove_tree(path)  # on another disk, and nobody looks for it
        removed.append(path)
        if lock is not None:
            lock.release()
    return removed


def _half_made_volumes(engine: Engine) -> list[str]:
    """Remove directories of volumes that were never written down. Nothing is in them: their maker was killed."""
    directory = f"{engine.store.paths.root}/volumes"
    known = {volume.name for volume in engine.volumes.all()}
    removed: list[str] = []
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
        path = f"{directory}/{name}"
        if name in known or time.time() - os.lstat(path).st_mtime < YOUNG:
            continue
        try:
            if os.path.isdir(f"{path}/_data"):
                os.rmdir(f"{path}/_data")
            os.rmdir(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):
                raise
            continue  # files are somebody's, whoever that is
        removed.append(path)
    return removed
