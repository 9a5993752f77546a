"""Linux namespaces (namespaces(7)): their flags and names, leaving and joining them."""

from __future__ import annotations

import os

from estiba.linux.libc import checked, libc

CLONE_NEWTIME = 0x00000080
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# The runtime-spec's name -> (flag, file in /proc/PID/ns)
NAMESPACES: dict[str, tuple[int, str]] = {
    "user": (CLONE_NEWUSER, "user"),
    "ipc": (CLONE_NEWIPC, "ipc"),
    "uts": (CLONE_NEWUTS, "uts"),
    "network": (CLONE_NEWNET, "net"),
    "pid": (CLONE_NEWPID, "pid"),
    "cgroup": (CLONE_NEWCGROUP, "cgroup"),
    "time": (CLONE_NEWTIME, "time"),
    "mount": (CLONE_NEWNS, "mnt"),
}


_INITIAL_USERS = 0xEFFFFFFD  # the inode of the machine's own (PROC_USER_INIT_INO): another may map every id as well


def is_initial_user_namespace() -> bool:
    """Whether this process is in the machine's own user namespace, where root is root."""
    try:
        return os.stat("/proc/self/ns/user").st_ino == _INITIAL_USERS
    except FileNotFoundError:
        return True  # a kernel without user namespaces


def has_root() -> bool:
    """Whether this process has root's power over the machine: control groups, bridges, device nodes."""
    return os.geteuid() == 0 and is_initial_user_namespace()


def unshare(flags: int) -> None:
    """Leave the namespaces of `flags` for new ones (unshare(2)). Only for a single-threaded process.

    Raises:
        OSError: EPERM without CAP_SYS_ADMIN, ENOSPC beyond the limits in /proc/sys/user.
    """
    names = [name for name, (flag, _) in NAMESPACES.items() if flags & flag]
    checked(libc.unshare(flags), f"create namespaces {', '.join(names)}")


def join(descriptor: int, flags: int = 0) -> None:
    """Join the namespace behind `descriptor`: of /proc/PID/ns/…, or a pidfd and several `flags` at once (setns(2))."""
    checked(libc.setns(descriptor, flags), "join a namespace")


def open_namespace(pid: int, name: str) -> int:
    """A descriptor of the namespace `name` (a key of `NAMESPACES`) of process `pid`; it keeps the namespace alive."""
    return os.open(f"/proc/{pid}/ns/{NAMESPACES[name][1]}", os.O_RDONLY | os.O_CLOEXEC)


def is_own_namespace(descriptor: int, name: str) -> bool:
    """Whether the open namespace, of the kind `name`, is the one that this process is in."""
    theirs, ours = os.fstat(descriptor), os.stat(f"/proc/self/ns/{NAMESPACES[name][1]}")
    return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)


def same_namespace(pid: int, name: str, *, other: str = "self") -> bool:
    """Whether process `pid` and `other` share the namespace `name`."""
    file = NAMESPACES[name][1]
    return os.readlink(f"/proc/{pid}/ns/{file}") == os.readlink(f"/proc/{other}/ns/{file}")
