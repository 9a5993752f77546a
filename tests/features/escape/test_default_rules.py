"""The default seccomp rules, call by call on the kernel, and beside those of a peer."""

from __future__ import annotations

import json
import os

import pytest

from estiba.runtime.seccomp.filter import syscall_numbers
from estiba.runtime.seccomp.profile import ALLOWED, GUARDED
from estiba.runtime.spec import DEFAULT_CAPABILITIES

PEERS = "/usr/share/containers/seccomp.json"

# What a program that fell back from a newer call, or a debugger, or an old one must find: allowed with conditions.
_BY_ARGUMENT = {"clone", "clone3", "personality", "socket"}
# Newer than the rules of the peer that this was compared with, and in Docker's of today.
_NEWER = {
    *(
        "cachestat",
        "fchmodat2",
        "futex_requeue",
        "futex_wait",
        "futex_waitv",
        "futex_wake",
        "map_shadow_stack",
        "mseal",
    ),
    *("getxattrat", "listxattrat", "removexattrat", "setxattrat", "uretprobe"),
    *("io_pgetevents", "io_pgetevents_time64", "vmsplice"),  # Docker has them
}
# What podman allows and Docker does not.
_LAXER = {
    *("fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "open_tree", "pivot_root"),
    *("reboot", "setns", "umount", "umount2", "unshare", "syslog", "pidfd_getfd", "keyctl"),
    *("get_mempolicy", "mbind", "set_mempolicy"),
    *("readdir", "syscall", "timerfd", "sync_file_range2"),
    # of other architectures
    *("arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush", "set_tls"),
    *("s390_pci_mmio_read", "s390_pci_mmio_write", "s390_runtime_instr"),
}


def _given(names: set[str]) -> set[str]:
    return names | {call for name in DEFAULT_CAPABILITIES for call in GUARDED.get(name, ())}


def test_nothing_is_allowed_that_a_peer_refuses_and_nothing_refused_that_it_allows_without_reason():
    """Compared with the rules that the installed podman has for its containers, for the same capabilities."""
    if not os.path.exists(PEERS):
        pytest.skip(f"no rules of a peer to compare with ({PEERS})")
    with open(PEERS, encoding="utf-8") as file:
        document = json.load(file)
    theirs = set()
    for rule in document["syscalls"]:
        needed = set((rule.get("includes") or {}).get("caps") or ())
        missing = set((rule.get("excludes") or {}).get("caps") or ()) & set(DEFAULT_CAPABILITIES)
        if rule["action"] == "SCMP_ACT_ALLOW" and needed <= set(DEFAULT_CAPABILITIES) and not missing:
            theirs.update(rule["names"])
    ours = _given(set(ALLOWED)) | _BY_ARGUMENT
    assert ours - theirs - _NEWER == set()
    assert theirs - ours - _LAXER == set()


@pytest.mark.parametrize("architecture", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"])
def test_no_rule_names_a_call_that_does_not_exist(architecture):
    """A misspelt name would be left out in silence; each is a call of one of the architectures."""
    every = set().union(*map(syscall_numbers, ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64")))
    assert _given(set(ALLOWED)) - every <= {"recv", "send"}, "these are calls of 32-bit ARM, as in the peers' rules"
    assert {"futex", "openat2", "statx", "rseq", "close_range", "faccessat2"} <= set(syscall_numbers(architecture))


@pytest.mark.root
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of system calls are those of x86-64")
def test_every_call_that_is_not_allowed_is_refused_by_the_kernel_and_what_is_newer_does_not_exist(cell):
    """EPERM for all that the rules know and refuse, ENOSYS for all that came later, so that programs fall back."""
    numbers = syscall_numbers("SCMP_ARCH_X86_64")
    allowed = _given(set(ALLOWED)) | _BY_ARGUMENT
    last = max(number for name, number in numbers.items() if name in allowed)
    refused = {name: number for name, number in numbers.items() if name not in allowed and number < last}
    del refused["uprobe"]  # the kernel shows it to no filter, and answers who is not a probe by itself
    answers = cell.attack(
        f"""
        for name, number in {refused!r}.items():
            print(name, call(number, -1, -1, -1, -1, -1))
        for number in (*range({last + 1}, 520), 1000, 100000):
            print(number, call(number, -1, -1, -1, -1, -1))
        print("clone3", call(435, 0, 0))
        """
    )
    wrong = {line for line in answers.splitlines() if not line.endswith(" ENOSYS" if line[0].isdigit() else " EPERM")}
    assert wrong == {"clone3 ENOSYS"}, "glibc falls back from it to clone"


@pytest.mark.root
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of system calls are those of x86-64")
def test_what_common_programs_need_is_there(cell):
    """Threads, forks, event loops, shared memory, files, and sandboxes of their own (Landlock)."""
    answers = cell.attack(
        """
        import mmap, resource, select, socket, threading, time
        def check(what, action):
            print(what, attempt(action))
        thread = threading.Thread(target=time.sleep, args=(0,))
        check("thread", lambda: (thread.start(), thread.join()))
        def child():
            pid = os.fork()
            if not pid:
                os._exit(0)
            os.waitpid(pid, 0)
        check("fork", child)
        check("spawn", lambda: os.waitpid(os.posix_spawn(sys.executable, [sys.executable, "-V"], {}), 0))
        check("epoll", select.epoll)
        check("eventfd", lambda: os.eventfd(0))
        check("memfd", lambda: os.memfd_create("x"))
        check("pidfd", lambda: os.pidfd_open(os.getpid()))
        check("sockets", lambda: [socket.socket(f, socket.SOCK_STREAM) for f in (1, 2, 10)])
        check("netlink", lambda: socket.socket(16, 3, 0))
        check("affinity", lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)))
        check("priority", lambda: os.nice(1))
        check("limit", lambda: resource.prlimit(0, resource.RLIMIT_NOFILE))
        check("shared memory", lambda: mmap.mmap(-1, 4096).close())
        check("executable memory", lambda: mmap.mmap(-1, 4096, prot=7).close())
        check("copy", lambda: os.copy_file_range(os.open("/bin/busybox", 0), os.open("/tmp/x", 66), 9))
        check("splice", lambda: os.splice(os.open("/bin/busybox", 0), os.pipe()[1], 9))
        check("xattr", lambda: os.getxattr("/tmp", "user.none"))
        check("node", lambda: os.mknod("/tmp/pipe", 0o10644))
        check("chroot", lambda: os.chroot("/"))
        for what, number, arguments in (
            ("landlock", 444, (0, 0, 1)), ("rseq", 334, (0, 0, 0, 0)), ("membarrier", 324, (0, 0)),
            ("openat2", 437, (-100, 0, 0, 0)), ("faccessat2", 439, (-100, b"/", 0, 0)),
            ("statx", 332, (-100, 0, 0, 0, 0)), ("close_range", 436, (900, 901, 0)), ("io_setup", 206, (0, 0)),
            ("semget", 64, (0, 1, 0o1600)), ("shmget", 29, (0, 4096, 0o1600)), ("msgget", 68, (0, 0o1600)),
            ("mlock", 149, (0, 0)), ("futex_waitv", 449, (0, 0, 0, 0, 0)),
        ):
            print(what, call(number, *arguments))
        """
    )
    assert [line for line in answers.splitlines() if line.endswith("EPERM")] == []
