"""The user namespace of an ordinary user: its root is the user, its other ids are the user's subordinate ones.

A command enters it as its first act and goes on as its root: files of images have owners, overlays can be mounted, and
a container's processes are the user's to stop. All commands and containers of one installation share it, for only who
is in it may signal its processes: whoever is inside is noted in a file, and the next command joins one that lives.
"""

from __future__ import annotations

import fcntl
import os

from estiba.errors import Unavailable
from estiba.linux.namespaces import CLONE_NEWNS, CLONE_NEWUSER, is_initial_user_namespace, join, unshare
from estiba.linux.processes import start_time
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estiba.linux.subordinate_ids import IdMaps, Row

_FILE = "user-namespace"


def enter(run: str, maps: IdMaps) -> None:
    """Go on as root of the user namespace of the installation whose run directory is `run`, and of a mount namespace.

    The caller has one thread, and is the ordinary user that `maps` are of.

    Raises:
        Unavailable: the kernel or a helper refuses.
    """
    os.makedirs(run, mode=0o700, exist_ok=True)
    descriptor = _lock(run)
    try:
        living = _living(descriptor)
        if not any(_join(pid) for pid, _ in living):
            create(maps)
        unshare(CLONE_NEWNS)
        _write(descriptor, [*living, (os.getpid(), start_time(os.getpid()) or 0)])
    finally:
        os.close(descriptor)


def note(run: str, *pids: int) -> None:
    """Note that the processes `pids` are in the namespace and keep it; nothing to do in the machine's own."""
    if is_initial_user_namespace():
        return
    descriptor = _lock(run)
    try:
        _write(descriptor, [*_living(descriptor), *((pid, start_time(pid) or 0) for pid in pids)])
    finally:
        os.close(descriptor)


def _lock(run: str) -> int:
    descriptor = os.open(f"{run}/{_FILE}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _living(descriptor: int) -> list[tuple[int, int]]:
    """Those noted (process, its start) who live."""
    found = []
    for line in os.pread(descriptor, 1 << 20, 0).decode("ascii", "replace").splitlines():
        pid, _, begun = line.partition(" ")
        if pid.isdigit() and begun.isdigit() and start_time(int(pid)) == int(begun):
            found.append((int(pid), int(begun)))
    return found


def _write(descriptor: int, processes: list[tuple[int, int]]) -> None:
    text = "".join(f"{pid} {begun}\n" for pid, begun in dict.fromkeys(processes)).encode()
    os.pwrite(descriptor, text, 0)
    os.ftruncate(descriptor, len(text))


def _join(pid: int) -> bool:
    try:
        namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False  # it has ended, or is none of ours
    try:
        join(namespace, CLONE_NEWUSER)
    except OSError:
        return False
    finally:
        os.close(namespace)
    return True


def create(maps: IdMaps) -> None:
    """Leave for a new user namespace. The helpers are set-user-ID programs, which must be started from outside of it:
    a child that stays behind starts them.

    Raises:
        Unavailable: the kernel or a helper refuses.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.getpid()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(writing)
            if os.read(reading, 1):
                code = _run(maps.newgidmap, pid, maps.groups) or _run(maps.newuidmap, pid, maps.users)
        finally:
            os._exit(code)
    os.close(reading)
    try:
        unshare(CLONE_NEWUSER)
        os.write(writing, b"m")
    except OSError as error:
        raise Unavailable(
            f"a user namespace cannot be made: {error.strerror}", remedy="Run `estiba doctor` to see why."
        ) from None
    finally:
        os.close(writing)
        _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status):
        raise Unavailable(
            "newuidmap refused to map the ids of /etc/subuid and /etc/subgid",
            remedy="It must be set-user-ID root (Debian's package uidmap), and the ranges must be this user's.",
        )


def _run(helper: str, pid: int, rows: Sequence[Row]) -> int:
    words = [helper, str(pid), *(str(number) for row in rows for number in row)]
    child = os.posix_spawn(helper, words, {})
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
