"""Signals of this process, through the interpreter's own C module: `signal` builds enumerations, which takes 3 ms."""

from __future__ import annotations

from _signal import (  # type: ignore[import-not-found]
    SIG_BLOCK,
    SIG_DFL,
    SIG_IGN,
    SIG_SETMASK,
    pidfd_send_signal,
    pthread_sigmask,
    set_wakeup_fd,
    signal,
)

from estiba.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "block",
    "forget_wakeups",
    "give_back",
    "handle",
    "ignore",
    "parse_signal",
    "pidfd_send_signal",
    "restore_defaults",
    "wake_by",
]

SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM = 1, 2, 3, 9, 10, 12, 13, 14, 15
SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGWINCH, SIGXFSZ = 17, 18, 19, 20, 28, 25

# The interpreter ignores these, and what is ignored stays so across an exec.
_IGNORED_BY_PYTHON = (SIGPIPE, SIGXFSZ)
_ALIASES = {"IOT": "ABRT", "CLD": "CHLD", "POLL": "IO"}


def parse_signal(text: str) -> int:
    """The number of a signal given as ``TERM``, ``SIGTERM``, ``sigterm``, ``15``, ``RTMIN+3`` or ``RTMAX-1``.

    Raises:
        InvalidInput: there is no such signal.
    """
    import signal

    name = text.strip().upper()
    if name.isascii() and name.isdigit():
        if 0 <= int(name) <= signal.SIGRTMAX:
            return int(name)
        raise InvalidInput(f"signal {text!r} is not between 0 and {int(signal.SIGRTMAX)}")
    name = name.removeprefix("SIG")
    for base, start, sign in (("RTMIN", int(signal.SIGRTMIN), "+"), ("RTMAX", int(signal.SIGRTMAX), "-")):
        if name == base:
            return start
        offset = name.removeprefix(base + sign)
        if offset != name and offset.isdigit():
            number = start + int(offset) if sign == "+" else start - int(offset)
            if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
                return number
    found: signal.Signals | None = getattr(signal, "SIG" + _ALIASES.get(name, name), None)
    if isinstance(found, signal.Signals):
        return int(found)
    raise InvalidInput(f"there is no signal {text!r}", remedy="Give a name such as TERM or SIGKILL, or a number.")


def restore_defaults() -> None:
    """Give the next program the signals as a new process expects them: nothing ignored by us, nothing blocked."""
    for number in _IGNORED_BY_PYTHON:
        signal(number, SIG_DFL)
    pthread_sigmask(SIG_SETMASK, ())


def handle(number: int, handler: Callable[[int, object], None]) -> object:
    """Call `handler` when signal `number` comes; gives what was done before, for `give_back`."""
    before: object = signal(number, handler)
    return before


def give_back(number: int, before: object) -> None:
    """Let signal `number` do again what it did before `handle`."""
    signal(number, before)


def ignore(number: int) -> object:
    """Do nothing when signal `number` comes, also in the program that this process executes next.

    Gives what was done before, for `give_back`.
    """
    before: object = signal(number, SIG_IGN)
    return before


def block(numbers: Iterable[int]) -> None:
    """Hold these signals back."""
    pthread_sigmask(SIG_BLOCK, tuple(numbers))


def wake_by(descriptor: int) -> int:
    """Write a byte into the non-blocking `descriptor` when a signal comes that is handled; -1: nowhere.

    Gives the descriptor that it was before.
    """
    before: int = set_wakeup_fd(descriptor, warn_on_full_buffer=False)
    return before


def forget_wakeups() -> int:
    """Write no byte any more: a forked child has its parent's descriptor for that. Gives the descriptor."""
    before: int = set_wakeup_fd(-1)
    return before
