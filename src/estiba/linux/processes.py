"""Processes: descriptors of them, their signals, who inherits orphans, which descriptors survive an exec."""

from __future__ import annotations

import ctypes
import errno
import os
import select

from estiba.errors import Unavailable
from estiba.linux.libc import checked, libc, machine, syscall
from estiba.linux.signals import pidfd_send_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

_PR_GET_PDEATHSIG = 2
_SYS_CLOSE_RANGE = 436
_CLOSE_RANGE_CLOEXEC = 4
_KEYCTL_JOIN_SESSION_KEYRING = 1
_SIGKILL = 9


def pidfd_open(pid: int) -> int:
    """A descriptor of process `pid`, readable once it has ended; later reuse of the number does not matter.

    Raises:
        ProcessLookupError: there is no such process.
    """
    return os.pidfd_open(pid)


def send_signal(pidfd: int, number: int) -> bool:
    """Send a signal to the process behind `pidfd`; False when it has ended already."""
    try:
        pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    return True


def has_ended(pidfd: int, *, timeout: float | None = 0) -> bool:
    """Whether the process behind `pidfd` has ended, after at most `timeout` seconds (None: wait for its end)."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if timeout is None else int(timeout * 1000)))


def exit_status(wait_status: int) -> int:
    """The shell's exit code of a status of waitpid: 0-255, or 128 + signal."""
    code = os.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code


def start_time(pid: int) -> int | None:
    """When process `pid` began, in clock ticks since the boot; None when it is gone or a zombie.

    Together with the number it names a process for good.
    """
    fields = _fields(pid)
    return int(fields[19]) if fields else None


def parent_of(pid: int) -> int | None:
    """The process whose child `pid` is; None when it is gone or a zombie."""
    fields = _fields(pid)
    return int(fields[1]) if fields else None


def _fields(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat (proc_pid_stat(5)) from the third on, the state; [] where no such process lives."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [] if fields[0] in (b"Z", b"X") else fields


def become_subreaper() -> None:
    """Let orphans among our descendants become our children, so that we can wait for them."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: int = _SIGKILL) -> None:
    """Get signal `number` when the thread that created us ends; lost at a change of credentials or a set-id exec."""
    prctl(PR_SET_PDEATHSIG, number)


def death_signal() -> int:
    """The number that `die_with_parent` was given; 0 for none."""
    number = ctypes.c_int()
    checked(libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(number), 0, 0, 0), "ask for the signal at the parent's end")
    return number.value


def prctl(option: int, a: int = 0, b: int = 0, c: int = 0, d: int = 0) -> int:
    """prctl(2) with number arguments.

    Raises:
        OSError: as prctl(2).
    """
    arguments = [ctypes.c_ulong(value & 0xFFFFFFFFFFFFFFFF) for value in (a, b, c, d)]
    return checked(libc.prctl(option, *arguments), f"prctl {option}")


def fill_standard_streams() -> None:
    """Open the null device as each of the descriptors 0, 1 and 2 that the caller has closed.

    Else the next file that we open takes that number, and what is meant for a stream is done to it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC), True)  # takes the lowest number


def close_on_exec_from(first: int) -> None:
    """Mark every descriptor from `first` on as close-on-exec, known or not (CVE-2024-21626 was a leaked one)."""
    try:
        syscall(_SYS_CLOSE_RANGE, first, 0xFFFFFFFF, _CLOSE_RANGE_CLOEXEC, what="close_range")
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        for name in os.listdir("/proc/self/fd"):
            if int(name) >= first:
                _mark(int(name))


def close_all_but(keep: Iterable[int], *, first: int = 3) -> None:
    """Close every descriptor from `first` on that is not in `keep`, known or not."""
    position = first
    for descriptor in sorted(set(keep)):
        if descriptor >= first:
            if descriptor > position:
                _close_range(position, descriptor - 1)
            position = descriptor + 1
    _close_range(position, 0xFFFFFFFF)


def _close_range(first: int, last: int) -> None:
    syscall(_SYS_CLOSE_RANGE, first, last, 0, what="close_range")


def _mark(descriptor: int) -> None:
    try:
        os.set_inheritable(descriptor, False)
    except OSError as error:
        if error.errno != errno.EBADF:  # the descriptor of the listing itself
            raise


def join_new_session_keyring(name: str) -> None:
    """Leave the caller's session keyring for an empty one called `name` (keyctl(2), KEYCTL_JOIN_SESSION_KEYRING).

    A kernel without keyrings has nothing to leave.

    Raises:
        Unavailable: this user has as many keys as it may have.
    """
    numbers = {"x86_64": 250, "aarch64": 219}
    number = numbers.get(machine())
    if number is None:
        return
    try:
        syscall(number, _KEYCTL_JOIN_SESSION_KEYRING, os.fsencode(name), what="join a new session keyring")
    except OSError as error:
        if error.errno == errno.EDQUOT:
            raise Unavailable(
                "this user has no kernel key left for the container's keyring",
                remedy="End other containers, or raise kernel.keys.maxkeys (root's: kernel.keys.root_maxkeys).",
            ) from None
        if error.errno != errno.ENOSYS:
            raise
