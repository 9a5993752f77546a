"""What an attacker's root may ask the kernel for: nothing that makes namespaces, mounts, keys, traces or programs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from escapes import PYTHON, python_mounts
from estiba.runtime.spec import ALL_CAPABILITIES

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of system calls are those of x86-64"),
]

NEW_USER, NEW_NAMESPACE, NEW_CGROUP = 0x10000000, 0x20000, 0x02000000

# Calls that are refused by the rules or for want of a capability, whatever their arguments.
REFUSED = {
    "mount": 165,
    "umount2": 166,
    "pivot_root": 155,
    "swapon": 167,
    "reboot": 169,
    "init_module": 175,
    "finit_module": 313,
    "delete_module": 176,
    "kexec_load": 246,
    "kexec_file_load": 320,
    "acct": 163,
    "settimeofday": 164,
    "iopl": 172,
    "ioperm": 173,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "unshare": 272,
    "perf_event_open": 298,
    "fanotify_init": 300,
    "open_by_handle_at": 304,
    "setns": 308,
    "kcmp": 312,
    "bpf": 321,
    "userfaultfd": 323,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "syslog": 103,
    "quotactl": 179,
    "vhangup": 153,
    "sethostname": 170,
}


def test_no_call_that_an_escape_begins_with_is_allowed(cell):
    """Each is refused with EPERM: not one reaches the code behind it, which would say EFAULT or EINVAL."""
    answers = cell.attack(f"for name, number in {REFUSED}.items(): print(name, call(number, 0, 0, 0, 0, 0))")
    assert [line for line in answers.splitlines() if not line.endswith(" EPERM")] == []


def test_without_rules_and_with_capabilities_the_same_calls_are_answered_by_the_kernel(cell):
    """The other side: it is the rules that refuse."""
    names = {name: REFUSED[name] for name in ("keyctl", "unshare", "bpf", "userfaultfd", "io_uring_setup")}
    answers = cell.attack(
        f"for name, number in {names}.items(): print(name, call(number, 0, 0, 0, 0, 0))",
        seccomp="unconfined",
        capabilities=ALL_CAPABILITIES,
    )
    assert "EPERM" not in answers


def test_no_call_makes_a_namespace(cell):
    """A user namespace of its own would give an attacker every capability in it (and the kernel's bugs behind them)."""
    answers = cell.attack(
        f"""
        for flag in ({NEW_USER}, {NEW_NAMESPACE}, {NEW_CGROUP}, {NEW_USER | NEW_NAMESPACE}):
            print(call(272, flag), call(56, flag | 17, 0, 0, 0, 0))
        arguments = ctypes.create_string_buffer(({NEW_USER}).to_bytes(8, "little") + bytes(80))
        print(call(435, arguments, 88))
        """
    )
    assert answers.split() == ["EPERM"] * 8 + ["ENOSYS"]


# mov $number, %eax; mov $first, %ebx; xor %ecx, %ecx; xor %edx, %edx; int $0x80; ret
_INT_80 = """
import mmap
def call32(number, first=0, second=0):
    code = (b"\\x53\\xb8" + number.to_bytes(4, "little") + b"\\xbb" + first.to_bytes(4, "little") + b"\\xb9"
            + second.to_bytes(4, "little") + b"\\x31\\xd2\\x31\\xf6\\x31\\xff\\xcd\\x80\\x5b\\xc3")
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    result = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    return "ok" if result >= 0 else errno.errorcode[-result]
"""


def test_the_32_bit_way_into_the_kernel_is_guarded_alike(cell):
    """`int $0x80` has other numbers for the same calls."""
    numbers = {
        "mount": 21,
        "umount2": 52,
        "init_module": 128,
        "pivot_root": 217,
        "unshare": 310,
        "keyctl": 288,
        "add_key": 286,
        "bpf": 357,
        "userfaultfd": 374,
        "setns": 346,
        "io_uring_setup": 425,
        "open_by_handle_at": 342,
        "vm86old": 113,
        "vm86": 166,
        "iopl": 110,
        "fsopen": 430,
    }
    answers = cell.attack(
        _INT_80
        + f"""
for name, number in {numbers}.items():
    print(name, call32(number))
print("clone", call32(120, {NEW_USER} | 17))
print("clone3", call32(435))
print("getpid", call32(20))
"""
    ).split("\n")
    assert [line for line in answers if line and not line.endswith(" EPERM")] == ["clone3 ENOSYS", "getpid ok"]


def test_the_x32_way_into_the_kernel_ends_the_process(cell):
    """Bit 30 of the number chooses a convention that no rule names."""
    answers = cell.attack(
        """
        for number in (39, 165, 272, 321, 522):
            child = os.fork()
            if not child:
                call(number | 0x40000000, 0, 0, 0, 0, 0)
                os._exit(0)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    assert answers.split() == ["-31"] * 5, "SIGSYS"


def test_sockets_that_reach_the_hypervisor_or_the_kernels_crypto_are_refused(cell):
    answers = cell.attack(
        """
        import socket
        print(attempt(socket.socket, 40, socket.SOCK_STREAM), attempt(socket.socket, 38, socket.SOCK_SEQPACKET))
        print(attempt(socket.socket, socket.AF_INET, socket.SOCK_STREAM), attempt(socket.socket, 16, 3, 0))
        """
    )
    assert answers.split() == ["EPERM", "EPERM", "ok", "ok"]


# A shell at its terminal, which starts the container; and then the attack of the shell itself, as a control.
_SHELL = """
import fcntl, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
sys.stdout.write(done.stdout)
sys.stderr.write(done.stderr)
try:
    fcntl.ioctl(0, termios.TIOCSTI, b"x")
    print("typed")
except OSError:
    print("the kernel forbids it to all")
"""


def test_the_terminal_that_started_a_container_cannot_be_typed_into_from_inside(cell):
    """TIOCSTI would push a command back to the shell that started the container, as its user's own."""
    import pty

    attack = """
import errno, fcntl, os, termios
for action in (
    lambda: fcntl.ioctl(0, termios.TIOCSTI, b"x"),
    lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 1),
    lambda: os.open("/dev/tty", os.O_RDWR),
):
    try:
        action()
        print("ok")
    except OSError as error:
        print(errno.errorcode[error.errno])
"""
    bundle = cell.bundle(PYTHON, "-IS", "-c", attack, mounts=python_mounts())
    master, slave = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", _SHELL, *cell.command, "run", "-b", bundle, cell.name()],
            stdin=slave,
            capture_output=True,
            text=True,
            start_new_session=True,
            check=True,
        )
    finally:
        os.close(master)
        os.close(slave)
    typed, taken, opened, control = done.stdout.splitlines()
    assert typed in ("EPERM", "EIO"), done.stderr
    assert (taken, opened) == ("EPERM", "ENXIO")
    assert control in ("typed", "the kernel forbids it to all")


def test_nobody_leaves_the_project_of_a_quota(cell):
    """The owner of a file may give it another project, by the kernel's rules; not where a quota is counted by it. The
    answer to what is no request for that is still the kernel's."""
    script = (
        _INT_80
        + """
file = os.open("/", os.O_RDONLY)
attributes = ctypes.create_string_buffer(28)
print(call(16, file, 0x801C581F, attributes) in ("ok", "ENOTTY"))  # FS_IOC_FSGETXATTR
for upper in (0, 1 << 32):
    for request in (0x401C5820, 0x40086602, 0x40046602):
        print(call(16, file, upper | request, attributes))
print(call32(54, file, 0x401C5820), call32(54, file, 0x40046602))
print(call(469, file, b"", attributes, 24, 0x1000))
"""
    )
    first, *refused, last = cell.attack(script, keeps_project=True).split()
    assert (first, set(refused)) == ("True", {"EPERM"})
    assert last == "ENOSYS"
    assert "EPERM" not in cell.attack(script).split()
