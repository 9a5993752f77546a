"""`kill -9` at a system call: runs a command under ptrace(2) and kills one process of its tree at one step.

    python -I -S strike.py STEP COMMAND...

A step is a system call that changes something outside of its process: what these are is a list of the kernel's calls,
and nothing is known here of the command. Every process has a path in the tree of forks (``0`` is the command, ``0.1``
its second child), so that a step, ``PATH:N``, is the same one in every run. With the step ``-`` nothing is killed, and
the steps are printed, one a line: ``PATH:N NAME``, and ``ended`` when the command has. With a step, one line says
``struck NAME`` or ``missed``.

The command has no streams. The tracer ends when every process of the tree has: who outlives the command is waited for.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys

# asm/unistd_64.h: what makes, moves and removes, and what tells others of it.
CALLS = {
    "write": 1, "pwrite64": 18, "sendto": 44, "sendmsg": 46, "bind": 49, "connect": 42, "clone": 56, "fork": 57,
    "vfork": 58, "execve": 59, "kill": 62, "ftruncate": 77, "rename": 82, "mkdir": 83, "rmdir": 84, "unlink": 87,
    "symlink": 88, "chown": 92, "mknod": 133, "pivot_root": 155, "mount": 165, "umount2": 166, "sethostname": 170,
    "flock": 73, "fsync": 74, "fdatasync": 75, "exit_group": 231, "mkdirat": 258, "mknodat": 259, "unlinkat": 263,
    "renameat": 264, "symlinkat": 266, "unshare": 272, "setns": 308, "renameat2": 316, "seccomp": 317, "execveat": 322,
    "pidfd_send_signal": 424, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "clone3": 435,
    "mount_setattr": 442,
}  # fmt: skip
OPENAT, _OPEN_WRITES = 257, os.O_WRONLY | os.O_RDWR | os.O_CREAT
_NAMES = {number: name for name, number in CALLS.items()} | {OPENAT: "openat"}

_ARCH_X86_64 = 0xC000003E
_ALLOW, _TRACE = 0x7FFF0000, 0x7FF00000
_WALL = 0x40000000
_TRACEME, _CONT, _SETOPTIONS, _GETEVENTMSG, _GETREGSET = 0, 7, 0x4200, 0x4201, 0x4204
# FORK, VFORK, CLONE, SECCOMP, EXITKILL: who traces does not leave what it traces behind
_OPTIONS = 2 | 4 | 8 | 0x80 | 0x100000
_FORKS, _SECCOMP_EVENT = (1, 2, 3), 7

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def _ptrace(request: int, pid: int, address: int = 0, data: object = 0) -> None:
    if _libc.ptrace(request, pid, address, data) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def _load_filter() -> None:
    """Stop at each of CALLS, and at an openat that may write; everything else runs at full speed."""

    def one(code: int, yes: int, no: int, value: int) -> bytes:
        return struct.pack("HBBI", code, yes, no, value)

    program = [one(0x20, 0, 0, 4), one(0x15, 1, 0, _ARCH_X86_64), one(0x06, 0, 0, _ALLOW), one(0x20, 0, 0, 0)]
    for number in CALLS.values():
        program += [one(0x15, 0, 1, number), one(0x06, 0, 0, _TRACE)]
    program += [one(0x15, 0, 3, OPENAT), one(0x20, 0, 0, 32), one(0x45, 0, 1, _OPEN_WRITES), one(0x06, 0, 0, _TRACE)]
    program.append(one(0x06, 0, 0, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code)))
    if _libc.syscall(ctypes.c_long(317), ctypes.c_long(1), ctypes.c_long(0), header) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


def _begin(command: list[str]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            _ptrace(_TRACEME, 0)
            null = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(null, number)
            os.kill(os.getpid(), signal.SIGSTOP)
            _load_filter()
            os.execv(command[0], command)
        finally:
            os._exit(126)
    os.waitpid(pid, 0)
    _ptrace(_SETOPTIONS, pid, 0, _OPTIONS)
    return pid


def _call(pid: int) -> int:
    """The number of the system call that the process is about to make."""
    registers = ctypes.create_string_buffer(27 * 8)
    vector = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(registers), len(registers)))
    _ptrace(_GETREGSET, pid, 1, ctypes.addressof(vector))
    number: int = struct.unpack_from("q", registers, 15 * 8)[0]
    return number


def _message(pid: int) -> int:
    value = ctypes.c_ulong()
    _ptrace(_GETEVENTMSG, pid, 0, ctypes.addressof(value))
    return value.value


def main(step: str, command: list[str]) -> None:
    first = _begin(command)
    paths = {first: "0"}
    children: dict[int, int] = {}
    counts: dict[int, int] = {}
    early: set[int] = set()  # stopped before their parent's report of them
    is_struck = False
    _ptrace(_CONT, first)
    while True:
        try:
            pid, status = os.waitpid(-1, _WALL)
        except ChildProcessError:
            break
        if not os.WIFSTOPPED(status):
            if pid == first and step == "-":
                print("ended", flush=True)
            continue
        number, event, passed = os.WSTOPSIG(status), status >> 16, 0
        try:
            if event in _FORKS:
                child = _message(pid)
                children[pid] = children.get(pid, -1) + 1
                paths[child] = f"{paths[pid]}.{children[pid]}"
                if child in early:
                    early.discard(child)
                    _ptrace(_CONT, child)
            elif event == _SECCOMP_EVENT:
                counts[pid] = counts.get(pid, -1) + 1
                here, name = f"{paths[pid]}:{counts[pid]}", _NAMES.get(_call(pid), "?")
                if step == "-":
                    print(here, name, flush=True)
                elif step == here:
                    os.kill(pid, signal.SIGKILL)
                    print("struck", name, flush=True)
                    is_struck = True
                    continue
            elif pid not in paths:
                early.add(pid)
                continue
            elif not event and number not in (signal.SIGSTOP, signal.SIGTRAP):
                passed = number
            _ptrace(_CONT, pid, 0, passed)
        except ProcessLookupError:
            continue  # somebody killed it meanwhile
    if step != "-" and not is_struck:
        print("missed", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
