"""How a monitor whose container runs on gives back the memory that starting it has taken.

    full program ──a few seconds without anything to do──▶ lean program ──the container has ended──▶ full program

Most of what a monitor has loaded serves to make a container and to clear up after it. So it executes its interpreter
again, from the same protected file: the process stays, with its children, its mount namespace and its descriptors, and
`settled` goes on with a third of the modules. What that needs is handed over as JSON; everything else, which is for the
end, as a pickle that nobody opens before.

A newer Estiba may be installed meanwhile. Then the full program is executed anew for the end, so that no process has
modules of both. So the JSON keeps what its names mean, and classes in the pickle get new fields only with defaults.
"""

from __future__ import annotations

import _socket
import os
import sys

from estiba.linux.signals import SIGHUP, SIGINT, SIGQUIT, give_back, ignore
from estiba.oci import json_text
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from estiba.engine.monitor.serving import Serving

AFTER = 3.0
"""Seconds without anything to do after which a monitor settles, where nobody has set another time."""

AFTER_EXEC = 600.0
"""And after the last further process, for the next one costs less while its code is loaded."""

AFTER_QUESTION = 60.0
"""And after the last question about a name."""

_DATABASES = (".db", ".db-wal", ".db-shm")  # closed by nobody, as at the end of a process
_WORDS = 5  # python -I -S launcher.py RUN


def packed(value: object) -> bytes | None:
    """`value` as a pickle, sockets by the numbers of their descriptors; None where something in it has no such form."""
    import _pickle  # without `pickle`, which loads regular expressions to describe pickles
    from io import BytesIO

    class Packer(_pickle.Pickler):
        def reducer_override(self, one: object) -> Any:
            if type(one) is _socket.socket:
                return opened_socket, (one.fileno(),)
            return NotImplemented

    told = BytesIO()
    try:
        Packer(told, protocol=5).dump(value)
    except (_pickle.PicklingError, TypeError, AttributeError):
        return None
    return told.getvalue()


def opened_socket(descriptor: int) -> _socket.socket:
    """The socket that has this number."""
    return _socket.socket(fileno=descriptor)


def execute(serving: Serving, rest: bytes, *, status: int | None = None) -> bool:
    """Go on as the next program: the lean one, or the full one where the first process has ended with `status`.

    Comes back with False where something is under way that cannot be handed over, or where the interpreter cannot be
    executed, and nothing has changed.
    """
    state = serving.state()
    if state is None:
        return False
    handed = os.memfd_create("state", os.MFD_CLOEXEC)
    os.write(handed, json_text.dumps(state).encode() + b"\n" + rest)
    serving.close_wakeups()
    if serving.execs is not None:
        serving.execs.close_pipe()
    before = [(number, ignore(number)) for number in (SIGHUP, SIGINT, SIGQUIT)]  # until the next program handles them
    _keep_descriptors(True)
    program = "full" if status is not None else "lean"
    sys.stderr.flush()
    try:
        os.execve("/proc/self/exe", [*sys.orig_argv[:_WORDS], program, str(handed)], os.environ)
    except OSError as error:
        print(f"the interpreter cannot be executed again: {error}", file=sys.stderr, flush=True)
    _keep_descriptors(False)
    for number, handler in before:
        give_back(number, handler)
    os.close(handed)
    serving.open_wakeups()
    if serving.execs is not None:
        serving.execs.open_pipe()
    serving.reap()
    return False


def _keep_descriptors(kept: bool) -> None:
    """Whether the next program gets our descriptors: all but the standard streams, which it always gets."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and not (kept and os.readlink(f"/proc/self/fd/{name}").endswith(_DATABASES)):
                os.set_inheritable(int(name), kept)
        except OSError:
            continue  # the descriptor of the listing itself


def received(descriptor: int) -> tuple[dict[str, Any], bytes]:
    """What `execute` handed over: the state, and the pickle of the rest. Nothing is inherited any more."""
    _keep_descriptors(False)
    told = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    os.close(descriptor)
    text, _, _ = told.partition(b"\n")
    state: dict[str, Any] = json_text.loads(text.decode(), what="the state")
    return state, told[len(text) + 1 :]
