"""The parent's side: what only a process on the host can do for the chain below it.

`bring_up` starts the chain, writes id maps, moves init into the control group while init builds the root filesystem,
and runs the hooks between the two.
"""

from __future__ import annotations

import os

from estiba.linux.processes import become_subreaper, pidfd_open, send_signal
from estiba.runtime.errors import BadBundle, InitFailed
from estiba.runtime.process import idmaps, intermediate
from estiba.runtime.process.channel import failure, make_channel
from estiba.runtime.seccomp.filter import load_tables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from estiba.runtime.process.plan import Plan


def bring_up(plan: Plan, *, before_pivot: Callable[[int], None], on_terminal: Callable[[int], None] | None) -> int:
    """Start the chain; gives init's pid once it waits for `start` (or has become the program, where it need not wait).

    `before_pivot` is called with init's pid when the root filesystem stands; `on_terminal` with the master end of the
    terminal, which it owns then. Init is our child: we are its subreaper.

    Raises:
        EstibaError, OSError: init failed, or one of the calls did; no process is left.
    """
    if plan.seccomp:
        load_tables(os.uname().machine)  # init compiles the rules, and can load nothing any more
    become_subreaper()
    ours, theirs = make_channel()
    first = os.fork()
    if first == 0:
        ours.close()
        intermediate.run(plan, theirs)
    theirs.close()
    pid = 0
    try:
        _begin_joining(plan, first)
        while True:
            kind, content, descriptor = ours.receive()
            if kind == "M":
                idmaps.write(first, plan.maps)
                ours.send("m")
            elif kind == "P":
                pid = int(content)
                os.waitpid(first, 0)
                first = 0
                if plan.group is not None:
                    plan.group.add(pid)
                _set_oom_score(pid, plan.process.get("oomScoreAdj"))
            elif kind == "T" and descriptor is not None:
                if on_terminal is None:
                    os.close(descriptor)
                    raise BadBundle("process.terminal is true and there is no --console-socket for the terminal")
                on_terminal(descriptor)
            elif kind == "R":
                # The intermediate tells the pid, init tells this: two writers, so this may come first.
                if not pid:
                    pid = _await_pid(ours.receive())
                    os.waitpid(first, 0)
                    first = 0
                    if plan.group is not None:
                        plan.group.add(pid)
                    _set_oom_score(pid, plan.process.get("oomScoreAdj"))
                before_pivot(pid)
                ours.send("G")
            elif kind == "D":
                if plan.fifo >= 0:
                    return pid
            elif kind == "X":
                raise failure(content)
            elif pid and plan.fifo < 0:
                return pid  # closed by the exec: the program has begun
            else:
                raise InitFailed("the container's init process ended without a word", exit_code=125)
    except BaseException:
        for child in (first, pid):
            if child:
                _end(child)
        raise
    finally:
        ours.close()


def _begin_joining(plan: Plan, first: int) -> None:
    """Move the intermediate into the group too, though only init must be there.

    The first move waits for every processor (an RCU grace period, 5-15 ms) and those right behind it do not: this way
    the wait passes while namespaces are being made. Not where the id maps are waited for.
    """
    if plan.group is None or plan.maps is not None:
        return
    try:
        plan.group.add(first)
    except ProcessLookupError:
        pass  # it has done its part already


def _await_pid(message: tuple[str, bytes, int | None]) -> int:
    kind, content, _ = message
    if kind == "X":
        raise failure(content)
    if kind != "P":
        raise InitFailed(f"unexpected message {kind!r} from the intermediate process", exit_code=125)
    return int(content)


def _end(pid: int) -> None:
    try:
        descriptor = pidfd_open(pid)
    except ProcessLookupError:
        return
    send_signal(descriptor, 9)
    os.close(descriptor)
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass


def _set_oom_score(pid: int, value: int | None) -> None:
    if value is None:
        return
    name = f"/proc/{pid}/oom_score_adj"
    with open(name, encoding="ascii") as file:
        current = int(file.read())
    if current == value:
        return
    try:
        with open(name, "w", encoding="ascii") as file:
            file.write(str(value))
    except PermissionError:
        raise BadBundle(f"oomScoreAdj {value} is below ours ({current}), which takes CAP_SYS_RESOURCE") from None
