"""The joiner: a fork of the monitor that brings one more process into the container, and ends.

The monitor goes on meanwhile: what can make the joiner wait (a container that is held, a file of the container's that
nobody gives) holds up nobody else. The process that it leaves becomes the monitor's child, as the nearest subreaper.
"""

from __future__ import annotations

import _socket
import os

from estiba.engine import exec_channel as channel
from estiba.engine.exec_options import ExecOptions
from estiba.engine.exec_process import exec_process
from estiba.engine.monitor.execs import TOLD
from estiba.errors import CommandFailed, EstibaError
from estiba.linux.libc import machine
from estiba.linux.processes import close_all_but, pidfd_open
from estiba.linux.signals import forget_wakeups
from estiba.runtime import joining
from estiba.runtime.client import RuntimeFailed, runtime_error
from estiba.runtime.errors import ContainerUnknown, WrongStatus
from estiba.runtime.process import parent
from estiba.runtime.seccomp.filter import load_tables
from estiba.runtime.state import load_container
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from estiba.engine.monitor.execs import Joined
    from estiba.engine.monitor.joining_by_runtime import ByRuntime
    from estiba.runtime.process.plan import Plan
    from estiba.runtime.state import Container

_LARGEST_REQUEST = 1 << 24
_ENDED = "container not running"


def load() -> None:
    """Load what the joiners need beside this module, in the monitor: once for all of them."""
    import encodings.ascii  # noqa: F401

    load_tables(machine())


def run(
    joined: Joined, command: _socket.socket, descriptors: Sequence[int], told: int, by_runtime: ByRuntime | None
) -> NoReturn:
    """Start what the command asks for. `descriptors` are its request and its streams; the pid is written to `told`.
    With `by_runtime` the container's runtime does it."""
    code = 1
    try:
        forget_wakeups()
        # Not the lock of the container, and not one connection of others: we may live longer than the monitor.
        close_all_but([command.fileno(), *descriptors, told])
        code = _start(joined, command, descriptors, told, by_runtime)
    except BaseException as error:  # noqa: BLE001 - a forked child must end here, whatever happened
        import traceback

        traceback.print_exception(error)  # into the monitor's log
    finally:
        os._exit(code)


def _start(
    joined: Joined, command: _socket.socket, descriptors: Sequence[int], told: int, by_runtime: ByRuntime | None
) -> int:
    request, *streams = descriptors
    program = ""
    try:
        options = ExecOptions.decode(os.pread(request, _LARGEST_REQUEST, 0))
        program = options.args[0]
        given = (streams[0], streams[1], streams[2])
        pid = by_runtime.join(joined, options, given) if by_runtime else _join(joined, options, given, command)
    except (EstibaError, OSError, AttributeError, LookupError, TypeError, ValueError) as error:
        _tell_failure(joined, command, program, error)
        return 0
    process = pidfd_open(pid)
    os.write(told, TOLD.pack(os.getpid(), pid))
    channel.send(command, channel.BEGUN, str(pid).encode(), (process,))
    return 0


def _join(joined: Joined, options: ExecOptions, streams: tuple[int, int, int], command: _socket.socket) -> int:
    """The program's process id, once it has begun."""

    def hand_over(master: int) -> None:
        channel.send(command, channel.TERMINAL, b"", (master,))
        os.close(master)

    try:
        container = load_container(joined.root, joined.container_id)
    except ContainerUnknown:
        raise WrongStatus(_ENDED) from None
    try:
        plan = _plan(container, joined, options)
        plan.streams = streams
        return parent.bring_up(plan, before_pivot=lambda _pid: None, on_terminal=hand_over)
    except (EstibaError, OSError):
        if joining.has_ended(container):
            raise WrongStatus(_ENDED) from None
        raise


def _plan(container: Container, joined: Joined, options: ExecOptions) -> Plan:
    joining.must_run(container)
    config = container.config()
    process = exec_process(
        config, options, container_id=joined.container_id, pid=container.pid, environment=joined.environment
    )
    return joining.plan(container, config, process)


def _tell_failure(joined: Joined, command: _socket.socket, program: str, error: Exception) -> None:
    if isinstance(error, RuntimeFailed):  # of a runtime of its own, which has said it all
        told = channel.failure(error.message, remedy=error.remedy, exit_code=error.exit_code)
        channel.send(command, channel.FAILED, told)
        return
    text = error.message if isinstance(error, EstibaError) else str(error)
    about = "" if program in text else f"exec {program}: "
    meant = runtime_error(joined.container_id, f"{about}exec failed: unable to start container process: {text}")
    code = meant.exit_code if isinstance(meant, CommandFailed) else 125
    told = channel.failure(meant.message, remedy=meant.remedy, exit_code=code)
    channel.send(command, channel.FAILED, told)
