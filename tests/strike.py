"""`kill -9` at a system call: runs a command under ptrace(2) and kills one process of its tree at one step.

    python -I -S strike.py STEP [--errors=FILE] COMMAND...

A step is a system call that changes something outside of its process: what these are is a list of the kernel's calls,
and nothing is known here of the command. Every process has a path in the tree of forks (``0`` is the command, ``0.1``
its second child), so that a step, ``PATH:N``, is the same one in every run. With the step ``-`` nothing is killed, and
the steps are printed, one a line: ``PATH:N NAME``, and ``ended`` when the command has. ``+`` prints a JSON text after
each: the paths of the files that the call is about. With a step, one line says ``struck NAME``, or ``missed`` in the
end; ``ended`` that the command has; and then ``status N`` what became of it.

``PATH:N`` kills the process that takes this step, ``PATH:N*`` all of them at once, and ``PATH:N=ERRNO,NAME`` kills
nobody: the call is not made, and fails with that number, if it is that call.

The command has no streams, but for FILE, which takes its errors. The tracer ends when every process of the tree has:
who outlives the command is waited for.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import sys

# asm/unistd_64.h: what makes, moves and removes, and what tells others of it.
CALLS = {
    "write": 1, "pwrite64": 18, "writev": 20, "sendfile": 40, "sendto": 44, "sendmsg": 46, "bind": 49, "connect": 42,
    "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "ftruncate": 77, "rename": 82, "mkdir": 83,
    "rmdir": 84, "link": 86, "unlink": 87, "symlink": 88, "chown": 92, "mknod": 133, "pivot_root": 155, "mount": 165,
    "umount2": 166, "sethostname": 170, "flock": 73, "fsync": 74, "fdatasync": 75, "exit_group": 231, "mkdirat": 258,
    "mknodat": 259, "unlinkat": 263, "renameat": 264, "linkat": 265, "symlinkat": 266, "unshare": 272, "syncfs": 306,
    "setns": 308, "renameat2": 316, "seccomp": 317, "execveat": 322, "copy_file_range": 326, "pidfd_send_signal": 424,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "clone3": 435, "mount_setattr": 442,
}  # fmt: skip
OPENAT, _OPEN_WRITES = 257, os.O_WRONLY | os.O_RDWR | os.O_CREAT
_NAMES = {number: name for name, number in CALLS.items()} | {OPENAT: "openat"}
_AT_FDCWD = -100
# Which arguments name files: descriptors, paths, and pairs of a directory's descriptor and a path below it.
_DESCRIPTORS = {
    "write", "pwrite64", "writev", "sendfile", "sendto", "fsync", "fdatasync", "ftruncate", "syncfs", "flock",
}  # fmt: skip
_PATHS = {"rename": (0, 1), "link": (0, 1), "mkdir": (0,), "rmdir": (0,), "unlink": (0,), "symlink": (1,)}
_BELOW = {
    "openat": (0,), "mkdirat": (0,), "unlinkat": (0,), "mknodat": (0,), "renameat": (0, 2), "renameat2": (0, 2),
    "linkat": (0, 2), "symlinkat": (1,),
}  # fmt: skip

_ARCH_X86_64 = 0xC000003E
_ALLOW, _TRACE = 0x7FFF0000, 0x7FF00000
_WALL = 0x40000000
_TRACEME, _CONT, _SETOPTIONS, _GETEVENTMSG, _GETREGSET, _SETREGSET = 0, 7, 0x4200, 0x4201, 0x4204, 0x4205
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


def _begin(command: list[str], errors: str) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            _ptrace(_TRACEME, 0)
            null = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(null, number)
            os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
            os.kill(os.getpid(), signal.SIGSTOP)
            _load_filter()
            os.execv(command[0], command)
        finally:
            os._exit(126)
    os.waitpid(pid, 0)
    _ptrace(_SETOPTIONS, pid, 0, _OPTIONS)
    return pid


# user_regs_struct (sys/user.h): where the number of a call, its result and its arguments are
_REGISTERS, _NUMBER, _RESULT, _ARGUMENTS = "27q", 15, 10, (14, 13, 12, 7, 9, 8)


def _registers(pid: int) -> list[int]:
    """The registers of a process that is about to make a system call."""
    registers = ctypes.create_string_buffer(struct.calcsize(_REGISTERS))
    vector = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(registers), len(registers)))
    _ptrace(_GETREGSET, pid, 1, ctypes.addressof(vector))
    return list(struct.unpack(_REGISTERS, registers.raw[: struct.calcsize(_REGISTERS)]))


def _let_fail(pid: int, registers: list[int], error: int) -> None:
    """The call is not made (it has no number any more), and its result is there already: seccomp(2)."""
    registers[_NUMBER], registers[_RESULT] = -1, -error
    values = ctypes.create_string_buffer(struct.pack(_REGISTERS, *registers), struct.calcsize(_REGISTERS))
    vector = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(values), len(values)))
    _ptrace(_SETREGSET, pid, 1, ctypes.addressof(vector))


def _files(pid: int, name: str, registers: list[int]) -> list[str]:
    """The paths of the files that the call is about."""
    arguments = [registers[at] for at in _ARGUMENTS]
    if name in _DESCRIPTORS:
        return [_of_descriptor(pid, arguments[0])]
    if name in _PATHS:
        return [_joined(pid, _AT_FDCWD, arguments[at]) for at in _PATHS[name]]
    return [_joined(pid, arguments[at], arguments[at + 1]) for at in _BELOW.get(name, ())]


def _of_descriptor(pid: int, number: int) -> str:
    number = number & 0xFFFFFFFF
    try:
        return os.readlink(f"/proc/{pid}/cwd" if number == _AT_FDCWD & 0xFFFFFFFF else f"/proc/{pid}/fd/{number}")
    except OSError:
        return ""


def _joined(pid: int, directory: int, address: int) -> str:
    text = b""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        try:
            while b"\0" not in text and len(text) < 4096:
                text += memory.read(64)
        except OSError:
            pass  # the text ends just before a page that is not there
    path = text.partition(b"\0")[0].decode(errors="surrogateescape")
    return path if path.startswith("/") else os.path.normpath(f"{_of_descriptor(pid, directory)}/{path}")


def _message(pid: int) -> int:
    value = ctypes.c_ulong()
    _ptrace(_GETEVENTMSG, pid, 0, ctypes.addressof(value))
    return value.value


def main(step: str, command: list[str], *, errors: str = os.devnull) -> None:
    step, _, failure = step.partition("=")
    error, _, wanted = failure.partition(",")
    strikes_all, step = step.endswith("*"), step.rstrip("*")
    first = _begin(command, errors)
    paths = {first: "0"}
    children: dict[int, int] = {}
    counts: dict[int, int] = {}
    early: set[int] = set()  # stopped before their parent's report of them
    is_struck = False
    told = 0
    _ptrace(_CONT, first)
    while True:
        try:
            pid, status = os.waitpid(-1, _WALL)
        except ChildProcessError:
            break
        if not os.WIFSTOPPED(status):
            if pid == first:
                told = os.waitstatus_to_exitcode(status)
                print("ended", flush=True)
            paths.pop(pid, None)
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
                registers = _registers(pid)
                here, name = f"{paths[pid]}:{counts[pid]}", _NAMES.get(registers[_NUMBER], "?")
                if step == "-":
                    print(here, name, flush=True)
                elif step == "+":
                    print(here, name, json.dumps(_files(pid, name, registers)), flush=True)
                elif step == here and wanted in ("", name):
                    print("struck", name, flush=True)
                    is_struck = True
                    if not error:
                        for each in paths if strikes_all else (pid,):
                            _kill(each)
                        continue
                    _let_fail(pid, registers, int(error))
            elif pid not in paths:
                early.add(pid)
                continue
            elif not event and number not in (signal.SIGSTOP, signal.SIGTRAP):
                passed = number
            _ptrace(_CONT, pid, 0, passed)
        except ProcessLookupError:
            continue  # somebody killed it meanwhile
    if step not in "-+":
        if not is_struck:
            print("missed", flush=True)
        print("status", told, flush=True)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


if __name__ == "__main__":
    if sys.argv[2].startswith("--errors="):
        main(sys.argv[1], sys.argv[3:], errors=sys.argv[2].removeprefix("--errors="))
    else:
        main(sys.argv[1], sys.argv[2:])
