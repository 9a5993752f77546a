"""What raising a container leaves in its filesystem: places for mounts, which are taken away again.

Only what was not there before, is still empty, and whose parent directory has no other change is removed, so a step
that changes nothing leaves no layer. Where the disk fails or no file can be opened the step fails too: what stayed by
chance would be in the layer, and in the cache.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Iterable

from estiba.linux.paths import open_in_root
from estiba.values import NamedTuple

_FAILURES = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What tells nothing of the path that was looked at."""


class Traces(NamedTuple):
    """`missing` paths were not there, deepest last; `parents` were, with their mode, owner and group."""

    missing: tuple[str, ...]
    parents: dict[str, tuple[int, int, int]]


def before(root: str, destinations: Iterable[str]) -> Traces:
    """Look which of the `destinations` and of the directories above them are missing below `root`.

    Raises, as all here:
        OSError: the disk failed, or there are no more files to open.
    """
    missing: dict[str, None] = {}
    parents: dict[str, tuple[int, int, int]] = {}
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for destination in destinations:
            path = ""
            for name in posixpath.normpath("/" + destination).strip("/").split("/"):
                above, path = path, f"{path}/{name}" if path else name
                if path in missing:
                    continue
                if not _exists(descriptor, path):
                    missing[path] = None
                    _note(descriptor, above, parents)
    finally:
        os.close(descriptor)
    return Traces(tuple(missing), {path: facts for path, facts in parents.items() if path not in missing})


def tidy(root: str, traces: Traces) -> None:
    """Remove the missing paths of `before` that are still empty, while the filesystem is mounted on `root`."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in sorted(traces.missing, key=lambda each: each.count("/"), reverse=True):
            _remove_if_empty(descriptor, path)
    finally:
        os.close(descriptor)


def forget_parents(writable: str, traces: Traces) -> None:
    """Drop from an overlay's upper directory the parents that hold no change, when it is not mounted any more."""
    descriptor = os.open(writable, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in sorted(traces.parents, key=lambda each: each.count("/"), reverse=True):
            facts = _facts(descriptor, path) if path else None
            if facts == traces.parents[path] and not _is_opaque(descriptor, path):
                _remove_if_empty(descriptor, path)
    finally:
        os.close(descriptor)


def _exists(root: int, path: str) -> bool:
    try:
        os.close(open_in_root(root, path, os.O_PATH))
    except OSError as error:
        _raise_failure(error)
        return False
    return True


def _note(root: int, path: str, parents: dict[str, tuple[int, int, int]]) -> None:
    """Keep the facts of `path` and of every directory above it: an overlay copies them all up."""
    while path:
        facts = _facts(root, path)
        if facts is not None:
            parents.setdefault(path, facts)
        path = posixpath.dirname(path)


def _facts(root: int, path: str) -> tuple[int, int, int] | None:
    try:
        descriptor = open_in_root(root, path, os.O_PATH | os.O_NOFOLLOW)
    except OSError as error:
        _raise_failure(error)
        return None
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return (status.st_mode, status.st_uid, status.st_gid) if stat.S_ISDIR(status.st_mode) else None


def _is_opaque(root: int, path: str) -> bool:
    descriptor = open_in_root(root, path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        return any(name.endswith("overlay.opaque") for name in os.listxattr(descriptor))
    finally:
        os.close(descriptor)


def _remove_if_empty(root: int, path: str) -> None:
    directory, name = posixpath.split(path)
    try:
        parent = open_in_root(root, directory or ".", os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        _raise_failure(error)
        return
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            os.rmdir(name, dir_fd=parent)
        elif stat.S_ISREG(status.st_mode) and status.st_size == 0:
            os.unlink(name, dir_fd=parent)
    except OSError as error:
        _raise_failure(error)
    finally:
        os.close(parent)


def _raise_failure(error: OSError) -> None:
    if error.errno in _FAILURES:
        raise error
