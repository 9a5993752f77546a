"""An attacker inside waits for `exec`: the process that joins is still the runtime's, with the host's rights and files.

CVE-2016-9962 (its descriptors and memory), CVE-2019-5736 (its executable). The attacker stops it with SIGSTOP, which
is allowed, and then has all the time of the world.
"""

from __future__ import annotations

import os

import pytest

from escapes import PYTHON, python_mounts
from estiba.linux.capabilities import bits
from estiba.runtime.spec import ALL_CAPABILITIES, DEFAULT_CAPABILITIES, IdMapping

pytestmark = pytest.mark.root

# Stops every process that appears, tries what can be tried, and lets it go on. Ends after the one called `last`.
_AMBUSH = """
import ctypes, errno, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
seen = {1, os.getpid()}
report = open("/tmp/report", "w")
def tell(what, action):
    try:
        report.write(f"{what} {action()!r}\\n")
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ESRCH):
            report.write(f"{what} {error!r}\\n")
    except ValueError as error:  # it was read, even if it is no text
        report.write(f"{what} {error!r}\\n")
def opened(path, flags):
    os.close(os.open(path, flags))  # kept, they would run out, and the container ends with its first process
    return "opened"
def attach(pid):
    if libc.ptrace(16, pid, 0, 0):
        raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(pid, 0)
    libc.ptrace(17, pid, 0, 0)
    return "attached"
def vm_read(pid):
    buffer = ctypes.create_string_buffer(8)
    vector = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 8)
    other = (ctypes.c_size_t * 2)(0x400000, 8)
    if libc.process_vm_readv(pid, vector, 1, other, 1, 0) < 0 and ctypes.get_errno() != errno.EFAULT:
        raise OSError(ctypes.get_errno(), "process_vm_readv")
    return "read"
open("/tmp/ready", "w").close()
caught = rights = 0
while not os.path.exists("/tmp/enough"):
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) in seen:
            continue
        pid = int(name)
        try:
            os.kill(pid, signal.SIGSTOP)
            while (state := open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0]) not in "TZX":
                pass
            command = open(f"/proc/{pid}/cmdline", errors="replace").read()
        except (OSError, LookupError, ValueError):
            continue
        # It may end at any moment; the attacker is the container's first process and must outlive that.
        try:
            if state != "T" or command.startswith("sleep"):  # it has become the program
                seen.add(pid)
                os.kill(pid, signal.SIGCONT)
                continue
            rights |= int(next(l for l in open(f"/proc/{pid}/status") if l.startswith("CapPrm")).split()[1], 16)
        except (OSError, LookupError, ValueError, StopIteration):
            continue
        caught += 1
        tell("exe", lambda: os.readlink(f"/proc/{pid}/exe"))
        tell("open exe", lambda: opened(f"/proc/{pid}/exe", os.O_RDONLY))
        tell("cwd", lambda: os.listdir(f"/proc/{pid}/cwd/"))
        tell("root", lambda: os.listdir(f"/proc/{pid}/root/"))
        for number in range(10):
            tell("descriptor", lambda: os.readlink(f"/proc/{pid}/fd/{number}"))
            tell("open descriptor", lambda: opened(f"/proc/{pid}/fd/{number}", os.O_PATH))
        tell("maps", lambda: open(f"/proc/{pid}/maps").read())
        tell("map_files", lambda: os.listdir(f"/proc/{pid}/map_files"))
        tell("mem", lambda: opened(f"/proc/{pid}/mem", os.O_RDONLY))
        tell("environ", lambda: open(f"/proc/{pid}/environ").read())
        tell("namespace", lambda: os.readlink(f"/proc/{pid}/ns/mnt"))
        tell("ptrace", lambda: attach(pid))
        tell("vm_read", lambda: vm_read(pid))
        try:
            os.kill(pid, signal.SIGCONT)
        except OSError:
            pass
report.write(f"rights {rights:x}\\n")
report.write(f"caught {caught}\\n")
report.close()
"""


def _ambushed(cell, wait_until, *, exec_user: str = "0", **options) -> list[str]:
    """What an attacker in the container learnt of the processes that joined."""
    name = cell.start(PYTHON, "-IS", "-c", _AMBUSH, mounts=python_mounts(), **options)
    wait_until(lambda: os.path.exists(f"{cell.rootfs}/tmp/ready"), "the attacker waits")
    for _ in range(12):
        done = cell.call("exec", "--user", exec_user, name, "sleep", "0.05")
        assert done.returncode == 0, done.stderr
    open(f"{cell.rootfs}/tmp/enough", "w").close()
    path = f"{cell.rootfs}/tmp/report"
    wait_until(lambda: os.path.exists(path) and "caught" in _read(path), "the attacker tells")
    *found, rights, caught = _read(path).splitlines()
    assert int(caught.split()[1]) >= 3, "the attacker saw joining processes"
    return [*found, rights]


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def test_the_joining_process_shows_nothing_to_the_containers_root(cell, wait_until):
    found = _ambushed(cell, wait_until)
    assert [line for line in found if not line.startswith("rights ")] == []


def test_the_joining_process_shows_nothing_to_its_own_user(cell, wait_until):
    """The attacker is the very user that the joining process becomes."""
    found = _ambushed(cell, wait_until, exec_user="1000", uid=1000)
    assert [line for line in found if not line.startswith("rights ")] == []


def test_the_joining_process_holds_no_right_that_a_tracer_could_take(cell, wait_until):
    """With CAP_SYS_PTRACE the attacker may trace it: then it must be worth no more than the attacker himself."""
    own = (*DEFAULT_CAPABILITIES, "CAP_SYS_PTRACE")
    *found, rights = _ambushed(cell, wait_until, capabilities=own)
    assert any(line.startswith("ptrace 'attached'") for line in found), "it can be traced"
    assert int(rights.split()[1], 16) & ~bits(own) == 0


def test_an_attacker_with_every_capability_sees_it(cell, wait_until):
    """The control: the ambush works where the kernel's check is passed by CAP_SYS_PTRACE."""
    found = _ambushed(cell, wait_until, capabilities=ALL_CAPABILITIES)
    assert any(line.startswith("exe ") for line in found)


def test_in_a_user_namespace_even_every_capability_shows_nothing(cell, wait_until):
    """The attacker has CAP_SYS_PTRACE over all that began in the namespace; what joins it began on the host."""
    ids = (IdMapping(0, 0, 65536),)
    found = _ambushed(cell, wait_until, capabilities=ALL_CAPABILITIES, uid_mappings=ids, gid_mappings=ids)
    assert [line for line in found if not line.startswith("rights ")] == []
