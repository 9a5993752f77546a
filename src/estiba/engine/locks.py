"""One lock per container: held by its monitor for as long as it lives, or shortly by a command that changes it.

The kernel drops the lock with its last holder (flock(2)), so a lock that is free means that the monitor is dead,
whatever the database says.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from estiba.errors import NotFound, Unavailable

_PATIENCE = 10.0
_PAUSE = 0.005


class Lock:
    """A held lock. `descriptor` may be inherited by a monitor, which then holds it on. A context manager."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let go; whoever inherited the descriptor goes on holding."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def try_lock(path: str) -> Lock | None:
    """The lock at `path`, None while somebody else holds it.

    Raises:
        NotFound: the container's directory is gone.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise NotFound(f"{os.path.dirname(path)}: the container is gone") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EWOULDBLOCK, errno.EINTR):
            return None
        raise
    return Lock(descriptor)


def wait_for_lock(path: str, *, patience: float = _PATIENCE) -> Lock:
    """The lock at `path`, after at most `patience` seconds.

    Raises:
        Unavailable: it was held all the time. NotFound: the container is gone.
    """
    deadline = time.monotonic() + patience
    while (lock := try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise Unavailable(
                f"another process has worked on {os.path.dirname(path)} for {patience:.0f} seconds",
                remedy=f"Find it with: fuser -v {path}",
            )
        time.sleep(_PAUSE)
    return lock
