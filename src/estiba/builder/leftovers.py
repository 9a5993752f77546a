"""What a build that was killed leaves at run time: containers and directories of steps, taken away by the next one."""

from __future__ import annotations

import fcntl
import os
import shutil
from types import TracebackType

from estiba.errors import EstibaError
from estiba.networks.networks import Networks
from estiba.runtime.client import RuntimeClient


class RunningBuild:
    """``with RunningBuild(directory, name):`` a lock says that this build lives, however it ends."""

    def __init__(self, directory: str, name: str) -> None:
        self._path = f"{directory}/{name}.lock"
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.unlink(self._path)
        os.close(self._descriptor)


def clear(directory: str, *, runtime: RuntimeClient, networks: Networks) -> None:
    """End what builds left below `directory` whose process is gone; names are ``build-ID-STEP``."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        build = "-".join(name.split("-")[:2]).removesuffix(".lock")
        if not name.startswith("build-") or _is_alive(f"{directory}/{build}.lock"):
            continue
        if name.endswith(".lock"):
            os.unlink(f"{directory}/{name}")
            continue
        try:
            runtime.delete(name, force=True)
        except EstibaError:
            continue  # the next build tries again
        networks.detach(name)
        shutil.rmtree(f"{directory}/{name}", ignore_errors=True)


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
