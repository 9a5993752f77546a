"""What a build that was killed leaves at run time: containers and directories of steps, taken away by the next one."""

from __future__ import annotations

import fcntl
import os
from types import TracebackType

from estiba.builder.request import BuildSurroundings
from estiba.errors import EstibaError


class RunningBuild:
    """``with RunningBuild(directory, name):`` a lock says that this build lives, however it ends."""

    def __init__(self, directory: str, name: str) -> None:
        self._path = f"{directory}/{name}.lock"
        self._descriptor = -1
        os.makedirs(directory, mode=0o700, exist_ok=True)

    def __enter__(self) -> None:
        while True:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            # Between the two lines another build may have taken it for a dead one's, and removed it.
            if _is_same(self._descriptor, self._path):
                return
            os.close(self._descriptor)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.unlink(self._path)
        os.close(self._descriptor)


def clear(surroundings: BuildSurroundings) -> tuple[str, ...]:
    """End what builds left whose process is gone; gives the names of their steps, ``build-ID-STEP``."""
    directory = surroundings.steps
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return ()
    ended = []
    for name in sorted(names):
        build = "-".join(name.split("-")[:2]).removesuffix(".lock")
        if not name.startswith("build-") or _is_alive(f"{directory}/{build}.lock"):
            continue
        if name.endswith(".lock"):
            _unlink(f"{directory}/{name}")
        elif end_step(name, surroundings):
            ended.append(name)
    return tuple(ended)


def end_step(name: str, surroundings: BuildSurroundings) -> bool:
    """End the container of one step whose process is gone, and take away what it had; False: it does not end yet."""
    from estiba.networks.networks import Networks
    from estiba.store.snapshots.trees import remove_tree

    try:
        surroundings.runtime().delete(name, force=True)
        Networks(root=surroundings.networks_root, run=surroundings.networks_run).detach(name)
    except EstibaError:
        return False  # the next build tries again
    remove_tree(f"{surroundings.steps}/{name}")
    return True


def _is_alive(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _is_same(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return  # somebody else was quicker
