"""The init process: builds the container around itself, gives up the host step by step, and becomes the program.

It never returns. Until `start` it is the runtime's own code inside the container, so it is not dumpable, holds no
directory of the host after pivot_root, and every descriptor closes at the exec.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import struct

from estiba.linux import mountpoints, scheduling, terminals
from estiba.linux.libc import checked, libc, machine
from estiba.linux.namespaces import CLONE_NEWCGROUP, CLONE_NEWNET, is_initial_user_namespace, unshare
from estiba.linux.processes import join_new_session_keyring
from estiba.runtime import hooks
from estiba.runtime.process import null_device, program
from estiba.runtime.rootfs import build, devices
from estiba.runtime.seccomp.filter import compile_filter, flags_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from estiba.runtime.process.channel import Channel
    from estiba.runtime.process.plan import Plan


def run(plan: Plan, channel: Channel) -> NoReturn:
    """Become the program of `plan`."""
    try:
        os.setsid()
        os.umask(0)
        if plan.config is not None:
            seccomp = _build_container(plan, plan.config, channel)
        else:
            seccomp = _join_container(plan, channel)

        def hand_over(listener: int) -> None:
            channel.send("S", descriptor=listener)
            os.close(listener)
            channel.expect("s")

        flags = flags_of(plan.seccomp)
        identity = program.prepare(plan.process, seccomp=seccomp, seccomp_flags=flags, on_listener=hand_over)
        channel.send("D")
        if plan.fifo >= 0:
            channel.close()
            _wait_for_start(plan)
    except hooks.HookFailed as error:
        _tell(plan, channel, error)
        os._exit(1)
    except BaseException as error:  # noqa: BLE001 - a forked child must end here, whatever happened
        channel.fail(error)
        os._exit(1)
    # What fails now is told on the channel where the parent still listens, and to standard error otherwise.
    code = 1
    try:
        failed = program.become(identity, preserve=plan.preserve)
        code = failed.exit_code
        _tell(plan, channel, failed)
    except BaseException as error:  # noqa: BLE001 - as above
        _tell(plan, channel, error)
    finally:
        os._exit(code)


def _tell(plan: Plan, channel: Channel, failed: BaseException) -> None:
    if channel.is_open():
        channel.fail(failed)
    else:
        os.write(2, f"{failed}\n".encode(errors="surrogateescape"))


def _build_container(plan: Plan, config: dict[str, Any], channel: Channel) -> bytes:
    if plan.new & CLONE_NEWNET:
        _raise_loopback()
    if plan.mounts_are_others:
        seccomp = _enter_finished_tree(plan, config, channel)
    else:
        seccomp = _build_tree(plan, config, channel)
    if plan.new & CLONE_NEWCGROUP:
        unshare(CLONE_NEWCGROUP)
    for name, call in (("hostname", libc.sethostname), ("domainname", libc.setdomainname)):
        value = os.fsencode(config.get(name) or "")
        if value:
            checked(call(value, len(value)), f"set the {name} {config[name]!r}")
    if plan.new_keyring:
        _take_keyring(plan)
    _take_traits(plan.linux)
    return seccomp


def _take_keyring(plan: Plan) -> None:
    label = plan.process.get("selinuxLabel")
    if not label:
        join_new_session_keyring("_ses." + plan.id)
        return
    from estiba.linux import labels

    labels.set_keyring_label(label)
    join_new_session_keyring("_ses." + plan.id)
    labels.set_keyring_label("")


def _take_traits(linux: dict[str, Any]) -> None:
    """What every process of the container has: the kind of machine that it sees, and where its memory comes from."""
    if linux.get("personality"):
        program.set_personality(linux["personality"])
    policy = linux.get("memoryPolicy")
    if policy:
        scheduling.set_memory_policy(policy["mode"], policy.get("nodes") or "", policy.get("flags") or ())


def _build_tree(plan: Plan, config: dict[str, Any], channel: Channel) -> bytes:
    """The container's own mounts, up to the point where its root is ours."""
    propagation = (config.get("linux") or {}).get("rootfsPropagation") or ""
    root = build.enter_private_tree(plan.rootfs, propagation)
    in_user_namespace = not is_initial_user_namespace()
    build.build(
        root,
        config,
        bundle=plan.bundle,
        group=plan.group,
        in_user_namespace=in_user_namespace,
        mapped=plan.sources,
    )
    if plan.wants_terminal:
        _take_terminal(plan, root, channel, is_first=True)
    channel.send("R")
    seccomp = compile_filter(plan.seccomp, machine()) if plan.seccomp else b""  # while the parent is busy
    channel.expect("G")
    hooks.run_all(config, "createContainer", plan.document)
    build.seal(root, config)
    if plan.no_pivot:
        _move_root(root)
    else:
        mountpoints.pivot_root(root)
    os.close(root)
    build.propagate(propagation)
    null_device.take_the_containers()
    return seccomp


def _enter_finished_tree(plan: Plan, config: dict[str, Any], channel: Channel) -> bytes:
    """The mount namespace is another's: nothing is mounted, and the root is changed by chroot, which is ours alone."""
    os.chroot(config["root"]["path"])
    seccomp = _join_container(plan, channel, is_new=True)
    hooks.run_all(config, "createContainer", plan.document)
    return seccomp


def _join_container(plan: Plan, channel: Channel, *, is_new: bool = False) -> bytes:
    os.chdir("/")
    if plan.wants_terminal:
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        _take_terminal(plan, root, channel, is_first=False)
        os.close(root)
    channel.send("R")
    seccomp = compile_filter(plan.seccomp, machine()) if plan.seccomp else b""  # while the parent is busy
    channel.expect("G")
    null_device.take_the_containers()  # in the control group: a device that may not be opened is not
    if plan.final_processors:
        scheduling.set_processors(plan.final_processors)
    if is_new:
        return seccomp
    if plan.new_keyring:
        _take_keyring(plan)
    _take_traits(plan.linux)
    return seccomp


def _take_terminal(plan: Plan, root: int, channel: Channel, *, is_first: bool) -> None:
    master, slave, _ = terminals.open_pair(root)
    size = plan.process.get("consoleSize") or {}
    if size.get("height") and size.get("width"):
        terminals.set_size(slave, size["height"], size["width"])
    if is_first:
        devices.place_console(root, slave)
    channel.send("T", descriptor=master)
    os.close(master)
    for number in (0, 1, 2):
        os.dup2(slave, number)
    os.close(slave)
    terminals.take_control(0)


def _wait_for_start(plan: Plan) -> None:
    """Sleep until `start` writes its byte. The descriptor is open for writing too, so there is no end of file."""
    while not os.read(plan.fifo, 1):
        pass
    os.close(plan.fifo)
    if plan.config is not None and (plan.config.get("hooks") or {}).get("startContainer"):
        hooks.run_all(plan.config, "startContainer", {**plan.document, "status": "created"})


def _raise_loopback() -> None:
    """A new network namespace has its loopback device down."""
    siocsifflags, up_and_running = 0x8914, 0x1 | 0x40
    end = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    try:
        fcntl.ioctl(end.fileno(), siocsifflags, struct.pack("16sh22x", b"lo", up_and_running))
    finally:
        end.close()


def _move_root(root: int) -> None:
    """Without pivot_root (an initramfs cannot be left by it): the tree is moved over the root, then chroot."""
    os.fchdir(root)
    mountpoints.raw_mount(".", "/", "", mountpoints.MS_MOVE, "", "move the root filesystem to /")
    os.chroot(".")
    os.chdir("/")
