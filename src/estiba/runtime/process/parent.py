"""The parent's side: what only a process on the host can do for the chain below it.

`bring_up` starts the chain, writes id maps, moves init into the control group while init builds the root filesystem,
and runs the hooks between the two.
"""

from __future__ import annotations

import _socket
import os
import select
import struct

from estiba.linux.libc import machine
from estiba.linux.processes import become_subreaper, pidfd_open, send_signal
from estiba.oci import json_text
from estiba.runtime.errors import BadBundle, InitFailed
from estiba.runtime.process import idmaps, intermediate
from estiba.runtime.process.channel import failure, make_channel
from estiba.runtime.seccomp.filter import load_tables
from estiba.runtime.state import SPEC_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from estiba.runtime.process.channel import Channel
    from estiba.runtime.process.plan import Plan


def bring_up(plan: Plan, *, before_pivot: Callable[[int], None], on_terminal: Callable[[int], None] | None) -> int:
    """Start the chain; gives init's pid once it waits for `start` (or has become the program, where it need not wait).

    `before_pivot` is called with init's pid when the root filesystem stands; `on_terminal` with the master end of the
    terminal, which it owns then. Init is our child: we are its subreaper.

    Raises:
        EstibaError, OSError: init failed, or one of the calls did; no process is left.
    """
    if plan.seccomp:
        load_tables(machine())  # init compiles the rules, and can load nothing any more
    become_subreaper()
    ours, theirs = make_channel()
    others = _children()
    first = os.fork()
    if first == 0:
        ours.close()
        intermediate.run(plan, theirs)
    theirs.close()
    pid = 0
    try:
        _begin_joining(plan, first, ours)
        while True:
            kind, content, descriptor = ours.receive() if pid else _receive_from(ours, first)
            if kind == "M":
                idmaps.write(first, plan.maps)
                _answer(ours, "m")
            elif kind == "O":
                _set_clocks(first, plan.time_offsets)
                _answer(ours, "o")
            elif kind == "S" and descriptor is not None:
                _hand_over_listener(plan, pid, descriptor)
                _answer(ours, "s")
            elif kind == "P":
                pid, first = _adopt(plan, int(content), first)
            elif kind == "T" and descriptor is not None:
                if on_terminal is None:
                    os.close(descriptor)
                    raise BadBundle("process.terminal is true and there is no --console-socket for the terminal")
                on_terminal(descriptor)
            elif kind == "R":
                # The intermediate tells the pid, init tells this: two writers, so this may come first.
                if not pid:
                    pid, first = _adopt(plan, _await_pid(_receive_from(ours, first)), first)
                before_pivot(pid)
                _answer(ours, "G")
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
        if not pid:
            # An intermediate that was killed has told of no init, which is our child now.
            for child in _children() - others:
                _end(child)
        raise
    finally:
        ours.close()


def _adopt(plan: Plan, pid: int, first: int) -> tuple[int, int]:
    """Init is known: the intermediate process `first` is done, and init gets what only the host can give it.

    Gives init's pid, and 0 for the process that is no more.
    """
    os.waitpid(first, 0)
    if plan.group is not None:
        plan.group.add(pid)
    _set_oom_score(pid, plan.process.get("oomScoreAdj"))
    return pid, 0


def _receive_from(channel: Channel, first: int) -> tuple[str, bytes, int | None]:
    """The next message while init's pid is not known: init holds the channel open, so its maker's end must be seen.

    Raises:
        InitFailed: the intermediate process `first` has ended, and what it should have told is not there.
    """
    poll = select.poll()
    watched = pidfd_open(first)
    try:
        poll.register(channel.fileno(), select.POLLIN)
        poll.register(watched, select.POLLIN)
        # What it sent before its end is there when the end is.
        if any(ready == channel.fileno() for ready, _ in poll.poll()) or _has_message(channel):
            return channel.receive()
    finally:
        os.close(watched)
    raise InitFailed("the container's intermediate process ended without a word", exit_code=125)


def _has_message(channel: Channel) -> bool:
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _children() -> set[int]:
    """Our children; none where the kernel does not list them (CONFIG_PROC_CHILDREN)."""
    try:
        with open("/proc/thread-self/children", encoding="ascii") as file:
            return {int(word) for word in file.read().split()}
    except FileNotFoundError:
        return set()


def _answer(channel: Channel, kind: str) -> None:
    try:
        channel.send(kind)
    except BrokenPipeError:
        pass  # whoever waited for it has failed, and its last message says why


def _begin_joining(plan: Plan, first: int, channel: Channel) -> None:
    """Move the intermediate into the group too, though only init must be there. Where the group begins with a process
    (a scope of systemd's) it waits for that: still the caller's user, it is one that systemd takes.

    The first move waits for every processor (an RCU grace period, 5-15 ms) and those right behind it do not: this way
    the wait passes while namespaces are being made. Not where the id maps are waited for.
    """
    if plan.group is not None and plan.group.begins_with_process:
        plan.group.add(first)
        try:
            channel.send("U", plan.group.path.encode())
        except BrokenPipeError:
            pass  # it has failed, and its last message says why
        return
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


def _set_clocks(pid: int, offsets: Mapping[str, Mapping[str, int]]) -> None:
    """Move the clocks of the time namespace that children of `pid` will be in (time_namespaces(7))."""
    text = "".join(f"{clock} {by.get('secs') or 0} {by.get('nanosecs') or 0}\n" for clock, by in offsets.items())
    try:
        with open(f"/proc/{pid}/timens_offsets", "w", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        raise BadBundle(f"linux.timeOffsets was refused: {os.strerror(error.errno or 0)}") from None


def _hand_over_listener(plan: Plan, pid: int, descriptor: int) -> None:
    """Give whoever listens at `listenerPath` the descriptor that hears of system calls, and what the spec says of
    the container with it (config-linux.md, "The Container Process State")."""
    seccomp = plan.seccomp or {}
    document = {
        "ociVersion": SPEC_VERSION,
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": seccomp.get("listenerMetadata") or "",
        "state": {**plan.document, "pid": plan.document.get("pid") or pid},
    }
    end = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        end.connect(seccomp["listenerPath"])
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", descriptor))]
        end.sendmsg([json_text.dumps(document).encode()], rights)
    except OSError as error:
        raise BadBundle(
            f"nobody listens for system calls at {seccomp['listenerPath']}: {os.strerror(error.errno or 0)}"
        ) from None
    finally:
        end.close()
        os.close(descriptor)


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
