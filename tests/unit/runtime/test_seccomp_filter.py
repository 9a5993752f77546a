"""The compiler of seccomp rules, run on an interpreter of the kernel's BPF: what it decides is what the rules say."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from estiba.errors import InvalidInput, NotThereYet
from estiba.runtime.seccomp import filter as seccomp_filter
from estiba.runtime.seccomp.filter import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    LOG,
    TRAP,
    compile_filter,
    flags_of,
    syscall_numbers,
)
from estiba.runtime.seccomp.profile import ALLOWED, GUARDED, default_profile
from estiba.runtime.seccomp.project import kept_in_project
from estiba.runtime.spec import DEFAULT_CAPABILITIES

AUDIT = {"SCMP_ARCH_X86_64": 0xC000003E, "SCMP_ARCH_X86": 0x40000003, "SCMP_ARCH_AARCH64": 0xC00000B7}
EPERM, ENOSYS = ERRNO | 1, ERRNO | 38
_64 = (1 << 64) - 1


def interpret(
    program: bytes, number: int, arguments: Sequence[int] = (), architecture: str = "SCMP_ARCH_X86_64"
) -> int:
    """What the kernel would decide: the classic BPF machine on struct seccomp_data, jumps forward only."""
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, AUDIT[architecture], 0, *(a & _64 for a in padded))
    code = list(struct.iter_unpack("<HBBI", program))
    position, register, steps = 0, 0, 0
    while True:
        operation, if_true, if_false, constant = code[position]
        position, steps = position + 1, steps + 1
        assert steps <= len(code)
        if operation == 0x20:
            assert constant % 4 == 0
            assert constant <= 60
            register = struct.unpack_from("<I", data, constant)[0]
        elif operation == 0x54:
            register &= constant
        elif operation == 0x05:
            position += constant
        elif operation == 0x06:
            return constant
        else:
            holds = {0x15: register == constant, 0x25: register > constant, 0x35: register >= constant}[operation]
            position += if_true if holds else if_false


def profile(*rules: Mapping[str, Any], default: str = "SCMP_ACT_ERRNO", **more: Any) -> dict[str, Any]:
    return {"defaultAction": default, "syscalls": list(rules), **more}


def rule(
    *names: str, action: str = "SCMP_ACT_ALLOW", args: Sequence[Mapping[str, Any]] = (), **more: Any
) -> dict[str, Any]:
    return {"names": list(names), "action": action, "args": list(args), **more}


def argument(index: int, operator: str, value: int, two: int = 0) -> dict[str, Any]:
    return {"index": index, "op": f"SCMP_CMP_{operator}", "value": value, "valueTwo": two}


def holds(operator: str, actual: int, value: int, two: int) -> bool:
    """The meaning of an operator, said once more in plain arithmetic."""
    return {
        "NE": actual != value,
        "LT": actual < value,
        "LE": actual <= value,
        "EQ": actual == value,
        "GE": actual >= value,
        "GT": actual > value,
        "MASKED_EQ": actual & value == two,
    }[operator]


_operators = st.sampled_from(["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"])
# Values whose halves are equal, differ by one, or are at the edges: where a comparison in two steps goes wrong.
_half = st.sampled_from([0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF])
_values = st.one_of(st.builds(lambda high, low: high << 32 | low, _half, _half), st.integers(0, _64))
_condition = st.tuples(st.integers(0, 5), _operators, _values, _values)
_actions = st.sampled_from(["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRAP", "SCMP_ACT_KILL_PROCESS"])
_ACTION_CODES = {
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_TRAP": TRAP,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
}


@given(_operators, _values, _values, _values)
@example("GT", 1 << 32, 0, (1 << 32) - 1)
@example("LT", (1 << 32) - 1, 0, 1 << 32)
def test_every_comparison_is_one_of_64_bits(operator: str, actual: int, value: int, two: int) -> None:
    program = compile_filter(profile(rule("read", args=[argument(3, operator, value, two)])), "x86_64")
    expected = ALLOW if holds(operator, actual, value, two) else EPERM
    assert interpret(program, 0, (0, 0, 0, actual)) == expected


_numbers = syscall_numbers("SCMP_ARCH_X86_64")
_names = st.sampled_from(sorted(_numbers)[:40])


@settings(max_examples=150)
@given(
    st.lists(st.tuples(_names, _actions, st.lists(_condition, max_size=3, unique_by=lambda c: c[0])), max_size=25),
    st.integers(0, 500),
    st.lists(_values, min_size=6, max_size=6),
)
def test_the_first_rule_that_matches_decides(
    rules: list[tuple[str, str, list[tuple[int, str, int, int]]]], number: int, actual: list[int]
) -> None:
    document = profile(
        *(rule(name, action=action, args=[argument(*c) for c in conditions]) for name, action, conditions in rules),
        default="SCMP_ACT_KILL_PROCESS",
    )
    program = compile_filter(document, "x86_64")
    for wanted in {number, *(_numbers[name] for name, _, _ in rules)}:
        expected = KILL_PROCESS
        for name, action, conditions in rules:
            if _numbers[name] == wanted and all(holds(op, actual[i], v, t) for i, op, v, t in conditions):
                expected = _ACTION_CODES[action]
                break
        assert interpret(program, wanted, actual) == expected


def test_two_conditions_on_one_argument_are_alternatives() -> None:
    program = compile_filter(profile(rule("socket", args=[argument(0, "EQ", 1), argument(0, "EQ", 2)])), "x86_64")
    assert [interpret(program, _numbers["socket"], (family,)) for family in (1, 2, 3)] == [ALLOW, ALLOW, EPERM]


def test_a_foreign_architecture_is_killed_and_a_listed_one_has_its_own_numbers() -> None:
    program = compile_filter(profile(rule("read", "exit")), "x86_64")
    assert interpret(program, 3, architecture="SCMP_ARCH_X86") == KILL_PROCESS
    program = compile_filter(profile(rule("read"), architectures=["SCMP_ARCH_X86"]), "x86_64")
    assert interpret(program, 3, architecture="SCMP_ARCH_X86") == ALLOW
    assert interpret(program, 0, architecture="SCMP_ARCH_X86") == EPERM
    assert interpret(program, 0) == ALLOW


def test_the_x32_convention_does_not_go_around_the_rules() -> None:
    """With a default of ALLOW the numbers with bit 30 would reach the same calls unseen."""
    forbid = rule("unshare", action="SCMP_ACT_ERRNO")
    program = compile_filter(profile(forbid, default="SCMP_ACT_ALLOW"), "x86_64")
    assert interpret(program, _numbers["unshare"]) == EPERM
    assert interpret(program, _numbers["unshare"] | 0x40000000) == KILL_PROCESS
    assert interpret(program, -1) == ALLOW, "number -1 is a call that a tracer skips"
    listed = compile_filter(profile(forbid, default="SCMP_ACT_ALLOW", architectures=["SCMP_ARCH_X32"]), "x86_64")
    assert interpret(listed, _numbers["unshare"] | 0x40000000) == EPERM
    assert interpret(listed, 0x40000000) == ALLOW


def test_calls_newer_than_all_rules_do_not_exist() -> None:
    program = compile_filter(profile(rule("read", "openat2")), "x86_64")
    assert interpret(program, _numbers["openat2"]) == ALLOW
    assert interpret(program, _numbers["openat2"] - 1) == EPERM
    assert interpret(program, _numbers["openat2"] + 1) == ENOSYS


def test_an_errno_is_carried() -> None:
    program = compile_filter(profile(rule("read", action="SCMP_ACT_ERRNO", errnoRet=95)), "x86_64")
    assert interpret(program, 0) == ERRNO | 95


@pytest.mark.parametrize(
    "document",
    [
        profile(rule("read", action="SCMP_ACT_DANCE")),
        profile(rule("read", args=[argument(6, "EQ", 1)])),
        profile(rule("read", args=[argument(0, "SIMILAR", 1)])),
    ],
)
def test_what_has_no_meaning_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        compile_filter(document, "x86_64")


def test_a_machine_without_tables_is_named() -> None:
    with pytest.raises(NotThereYet):
        compile_filter(profile(), "riscv64")


@pytest.mark.parametrize(
    "document",
    [
        profile(rule("read", action="SCMP_ACT_NOTIFY")),
        profile(rule("sendmsg", action="SCMP_ACT_NOTIFY"), listenerPath="/x"),
        {"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/x"},
    ],
)
def test_a_notification_that_could_not_work_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        compile_filter(document, "x86_64")


def test_only_a_filter_that_notifies_has_a_listener() -> None:
    new_listener, tsync, tsync_esrch, wait_killable = 8, 1, 16, 32
    names = ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]
    asking = profile(rule("read", action="SCMP_ACT_NOTIFY"), listenerPath="/x", flags=names)
    assert flags_of(asking) == new_listener | tsync | tsync_esrch | wait_killable
    assert flags_of(profile(listenerPath="/x", flags=names)) == tsync


# The default rules


@pytest.fixture(scope="module")
def default() -> bytes:
    return compile_filter(default_profile(DEFAULT_CAPABILITIES), "x86_64")


REFUSED = """
mount umount2 unshare setns keyctl add_key request_key bpf perf_event_open userfaultfd io_uring_setup kexec_load
init_module open_by_handle_at pivot_root swapon reboot quotactl move_pages nfsservctl acct iopl settimeofday
pidfd_getfd process_madvise fsopen move_mount
"""


@pytest.mark.parametrize("name", REFUSED.split())
def test_the_default_rules_refuse(default: bytes, name: str) -> None:
    assert interpret(default, _numbers[name]) == EPERM


@pytest.mark.parametrize("name", ["read", "execve", "openat2", "futex_waitv", "chroot", "ptrace", "statx", "rseq"])
def test_the_default_rules_allow(default: bytes, name: str) -> None:
    assert interpret(default, _numbers[name]) == ALLOW


def test_the_default_rules_look_at_arguments(default: bytes) -> None:
    clone, socket, personality = _numbers["clone"], _numbers["socket"], _numbers["personality"]
    assert interpret(default, clone, (0x01200011,)) == ALLOW
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert interpret(default, clone, (flag | 17,)) == EPERM
    assert interpret(default, _numbers["clone3"]) == ENOSYS
    assert [family for family in range(46) if interpret(default, socket, (family,)) != ALLOW] == [38, 40]
    assert interpret(default, personality, (0xFFFFFFFF,)) == ALLOW
    assert interpret(default, personality, (0x0040000,)) == EPERM


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_capability_opens_just_what_it_guards(machine: str) -> None:
    architecture = seccomp_filter.MACHINES[machine][0]
    numbers = syscall_numbers(architecture)
    for capability, names in GUARDED.items():
        opened = compile_filter(default_profile((capability,)), machine)
        for name in names:
            if name in numbers:
                assert interpret(opened, numbers[name], architecture=architecture) == ALLOW, name


def test_every_name_in_the_default_rules_is_in_a_table() -> None:
    known: set[str] = set()
    for architecture in ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"):
        known.update(syscall_numbers(architecture))
    # These two are calls of 32-bit ARM alone, harmless in a list.
    assert {*ALLOWED, *(name for names in GUARDED.values() for name in names)} - known <= {"recv", "send"}


def test_the_default_rules_are_no_laxer_than_the_peers(default: bytes) -> None:
    """Where another runtime's profile is installed, whatever it refuses without conditions, so do ours."""
    import json
    import os

    path = "/usr/share/containers/seccomp.json"
    if not os.path.exists(path):
        pytest.skip(f"{path} is not installed")
    with open(path, encoding="utf-8") as file:
        theirs = json.load(file)
    refused: set[str] = set()
    for entry in theirs["syscalls"]:
        if entry["action"] == "SCMP_ACT_ERRNO" and not entry.get("args") and not entry.get("includes"):
            refused.update(entry["names"])
    ours = {name for name in refused & set(_numbers) if interpret(default, _numbers[name]) == ALLOW}
    # Docker allows these too; chroot because CAP_SYS_CHROOT is among the default capabilities.
    assert ours <= {"chroot", "io_pgetevents", "vmsplice"}


def test_tables_agree_with_the_headers_of_this_machine() -> None:
    import os
    import re

    path = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
    if not os.path.exists(path):
        pytest.skip(f"{path} is not installed")
    with open(path, encoding="ascii") as file:
        header = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", file.read())}
    assert {name: _numbers.get(name) for name in header} == header


# What keeps a container within the quota of its project

OTHER_PROJECT = (0x401C5820, 0x40086602, 0x40046602)  # FS_IOC_FSSETXATTR, FS_IOC_SETFLAGS, FS_IOC32_SETFLAGS
OTHER_REQUESTS = (0x801C581F, 0x80086601, 0x5401, 0x5413, 0x541B, 0x8910, 0, 0x5821, 0x6603, 0xFFFFFFFF)
PROFILES = {
    "default": default_profile(DEFAULT_CAPABILITIES),
    "one that allows what is not named": profile(rule("mount", action="SCMP_ACT_ERRNO"), default="SCMP_ACT_ALLOW"),
    "one that asks for the request": profile(rule("ioctl", args=[argument(1, "NE", 0x5412)])),
    "one that allows the new call": profile(rule("ioctl", "file_setattr", "read"), architectures=["SCMP_ARCH_X86"]),
}


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("architecture", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"])
def test_nobody_gives_a_file_another_project(name: str, architecture: str) -> None:
    """Not with the upper half of the register either, which the kernel does not look at."""
    numbers = syscall_numbers(architecture)
    before = PROFILES[name] | {"architectures": ["SCMP_ARCH_X86"]}
    program, usual = (compile_filter(document, "x86_64") for document in (kept_in_project(before), before))

    def answer(program: bytes, name: str, *arguments: int) -> int:
        return interpret(program, numbers[name], arguments, architecture)

    for upper in (0, 1 << 32, 0xFFFFFFFF << 32):
        for request in OTHER_PROJECT:
            assert answer(program, "ioctl", 3, upper | request) == EPERM
        for request in OTHER_REQUESTS:
            assert answer(program, "ioctl", 3, upper | request) == answer(usual, "ioctl", 3, upper | request) == ALLOW
    assert answer(program, "file_setattr") in (EPERM, ENOSYS)
    for call in numbers:
        if call not in ("ioctl", "file_setattr", "file_getattr", "open_tree_attr"):
            assert answer(program, call) == answer(usual, call), call


@given(st.integers(0, (1 << 16) - 1))
@example(0x5820)
@example(0x6602)
def test_without_an_order_of_rules_the_other_requests_are_all_but_these(request: int) -> None:
    """What libseccomp makes of it: there no rule comes first."""
    rules = [entry for entry in kept_in_project(profile(rule("ioctl")))["syscalls"] if "ioctl" in entry["names"]]
    allowing = [entry["args"] for entry in rules if entry["action"] == "SCMP_ACT_ALLOW"]
    assert all(len(arguments) == 1 for arguments in allowing)
    matching = [a for (a,) in allowing if holds("MASKED_EQ", request, a["value"], a["valueTwo"])]
    assert len(matching) == (request & 0xFFFF not in (0x5820, 0x6602))
