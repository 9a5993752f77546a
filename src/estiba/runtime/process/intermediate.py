"""The intermediate process: joins and creates namespaces, and has the init process as its child.

It is needed because a new PID namespace is entered only by children, and because a process that is still the host's
must not linger in the container's namespaces. It never returns.
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys

from estiba.linux import scheduling
from estiba.linux.namespaces import CLONE_NEWCGROUP, CLONE_NEWUSER, join, unshare
from estiba.linux.processes import PR_SET_DUMPABLE, close_all_but, prctl
from estiba.linux.signals import forget_wakeups
from estiba.runtime.process import init, null_device
from estiba.runtime.process.shedding import shed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from estiba.runtime.process.channel import Channel
    from estiba.runtime.process.plan import Plan


def run(plan: Plan, channel: Channel) -> NoReturn:
    """Become the father of init and end."""
    try:
        _stop_imports()
        if plan.streams is not None:
            _take_streams(plan.streams)
        if plan.initial_processors:
            scheduling.set_processors(plan.initial_processors)
        # Not one descriptor more than needed: the caller's, the lock of the record, a log, a directory of the host.
        joins = [descriptor for _, descriptor in plan.joins]
        kept = [channel.fileno(), plan.fifo, plan.target, *joins, *plan.sources.values()]
        close_all_but(kept, first=3 + plan.preserve)
        null_device.guard()
        if plan.group is not None and plan.group.begins_with_process:
            plan.group.path = channel.expect("U").decode()  # where systemd has put it
        _give_pipes(plan)
        _enter(plan, channel)
        if plan.config is None:
            shed(plan.process, has_filter=plan.seccomp is not None)
        # Once more: what changed our credentials may have reset it (fs.suid_dumpable).
        prctl(PR_SET_DUMPABLE, 0)
        pid = os.fork()
    except BaseException as error:  # noqa: BLE001 - a forked child must end here, whatever happened
        channel.fail(error)
        os._exit(1)
    if pid == 0:
        init.run(plan, channel)
    try:
        channel.send("P", str(pid).encode())
    finally:
        os._exit(0)


def _take_streams(streams: tuple[int, int, int]) -> None:
    """The program's standard streams, where the parent is not the caller's child and has others."""
    forget_wakeups()  # they are the parent's, and the number of their descriptor is about to mean something else
    # Out of the way first: what is wanted as number 1 may be somebody else's number 0.
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3) for descriptor in streams]
    for number, descriptor in enumerate(moved):
        os.dup2(descriptor, number)


def _give_pipes(plan: Plan) -> None:
    """Let the user open /dev/stdout again: from within another user namespace nobody could give it our pipes."""
    mappings = plan.linux.get("uidMappings") or ()
    if not mappings or os.geteuid() != 0:
        return
    uid = (plan.process.get("user") or {}).get("uid") or 0
    for row in mappings:
        if row["containerID"] <= uid < row["containerID"] + row["size"]:
            for number in (0, 1, 2):
                if stat.S_ISFIFO(os.fstat(number).st_mode):
                    os.fchown(number, row["hostID"] + uid - row["containerID"], -1)


def _stop_imports() -> None:
    """Whatever is not loaded by now stays out: below the container's root, a module would be the image's own file."""
    sys.path.clear()
    sys.meta_path.clear()
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()


def _enter(plan: Plan, channel: Channel) -> None:
    if os.geteuid() == 0:
        # (Without root the parent could not write our id maps then; there is no other namespace to join yet.)
        # From here on nobody in the container's namespaces may look into this process: its /proc/PID/exe is the
        # host's interpreter (CVE-2019-5736) and its descriptors are the host's files (CVE-2016-9962).
        prctl(PR_SET_DUMPABLE, 0)
    if plan.target >= 0:
        join(plan.target, plan.new)
        _become_root(plan)
        return
    is_root = os.geteuid() == 0
    if is_root and any(flag == CLONE_NEWUSER for flag, _ in plan.joins):
        os.chdir(plan.rootfs)  # which the root of the other namespace could not find
        plan.rootfs = "."
    # Root enters others' namespaces while it has power over them; who is not root has it in the user namespace alone.
    for flag, descriptor in sorted(plan.joins, key=lambda pair: (pair[0] == CLONE_NEWUSER) == is_root):
        join(descriptor, flag)
        os.close(descriptor)
        if flag == CLONE_NEWUSER:
            _become_root(plan)
    if plan.new & CLONE_NEWUSER:
        unshare(CLONE_NEWUSER)
        channel.send("M")
        channel.expect("m")
        _become_root(plan)
    # The control group is joined later by the parent, so its namespace is made later too.
    rest = plan.new & ~(CLONE_NEWUSER | CLONE_NEWCGROUP)
    if rest:
        unshare(rest)
    if plan.time_offsets:
        channel.send("O")
        channel.expect("o")


def _become_root(plan: Plan) -> None:
    """In another user namespace we are nobody until we take its user 0, which changes no right outside."""
    try:
        os.setgroups([])
    except PermissionError:
        pass  # setgroups is denied in the namespace: there are none to leave behind
    try:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    except OSError:
        if plan.target < 0:
            raise
