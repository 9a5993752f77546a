"""From the runtime-spec's `linux.seccomp` object to a BPF program of the kernel (seccomp(2)). Pure.

Semantics, where the spec leaves them open:

- The rules of one system call are tried in the order of the document and the first that matches decides; the arguments
  of one rule must all match, but two conditions on the *same* argument are alternatives (as in runc).
- The machine's own architecture is always included. A call in any other convention than those listed kills the process.
- A name that no table knows is left out, as in libseccomp: such a call has the default action.
- Where the default action is an errno, calls newer than everything the rules name get ENOSYS instead, so that programs
  fall back to what they used before (as in runc).

Numbers are found by a binary search over ranges of equal treatment: about nine comparisons a call.
"""

from __future__ import annotations

import struct

from estiba.errors import InvalidInput, NotThereYet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant
Fragment = list[Instruction]  # ends in a return on every path, so it can be placed anywhere

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_JUMP = 0x05  # BPF_JMP | BPF_JA
_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_GREATER = 0x25  # BPF_JMP | BPF_JGT | BPF_K
_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_LONGEST_JUMP = 255

_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32_BIT = 0x40000000
_ENOSYS, _EPERM = 38, 1

KILL_PROCESS = 0x80000000
KILL_THREAD = 0x00000000
TRAP = 0x00030000
ERRNO = 0x00050000
TRACE = 0x7FF00000
LOG = 0x7FFC0000
ALLOW = 0x7FFF0000
NOTIFY = 0x7FC00000

_ACTIONS = {
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": TRAP,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_TRACE": TRACE,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_NOTIFY": NOTIFY,
}

_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
}
FLAGS: tuple[str, ...] = tuple(_FLAGS)
_NEW_LISTENER, _TSYNC, _TSYNC_ESRCH, _WAIT_KILLABLE = 8, 1, 16, 32
# What the process needs to hand its listener over: nobody hears of these before.
_BEFORE_LISTENING = ("sendmsg", "seccomp")

# machine (uname -m) -> the conventions that it can run, the native one first
MACHINES: dict[str, tuple[str, ...]] = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_AARCH64",),
}
_AUDIT = {"SCMP_ARCH_X86_64": 0xC000003E, "SCMP_ARCH_X86": 0x40000003, "SCMP_ARCH_AARCH64": 0xC00000B7}

Condition = tuple[int, str, int, int]  # argument, operator, value, second value
Rule = tuple[tuple[Condition, ...], int]  # conditions that must all hold, action


def compile_filter(profile: Mapping[str, Any], machine: str) -> bytes:
    """The program (an array of struct sock_filter, little-endian) for `profile` on a `machine` such as ``x86_64``.

    Raises:
        InvalidInput: an unknown action, operator or argument; SCMP_ACT_NOTIFY where it cannot work.
        NotThereYet: the machine is not supported.
    """
    if machine not in MACHINES:
        raise NotThereYet(f"seccomp rules on {machine} are not there yet; only {', '.join(MACHINES)}")
    _check(profile)
    listed = set(profile.get("architectures") or ())
    native, *others = MACHINES[machine]
    chosen = [native, *(name for name in others if name in listed)]
    default = _action(profile["defaultAction"], profile.get("defaultErrnoRet"))
    rules = _rules_by_name(profile.get("syscalls") or (), default)
    program: Fragment = [(_LOAD, 0, 0, _ARCHITECTURE)]
    for name in chosen:
        if name == "SCMP_ARCH_X32":
            continue
        x32 = "SCMP_ARCH_X32" in chosen if name == "SCMP_ARCH_X86_64" else None
        block = _architecture(name, rules, default, with_x32=x32)
        program += _unless(_EQUAL, _AUDIT[name], block)
    program.append((_RETURN, 0, 0, KILL_PROCESS))
    if len(program) > 4096:
        raise InvalidInput(f"the seccomp rules need {len(program)} instructions; the kernel takes 4096")
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def flags_of(profile: Mapping[str, Any] | None) -> int:
    """The flags with which the program is to be loaded (seccomp(2)).

    Raises:
        NotThereYet: one that is not supported.
    """
    flags = 0
    for name in (profile or {}).get("flags") or ():
        if name not in _FLAGS:
            raise NotThereYet(f"the seccomp flag {name!r} is not there yet")
        flags |= _FLAGS[name]
    if profile is not None and notifies(profile):
        return flags | _NEW_LISTENER | (_TSYNC_ESRCH if flags & _TSYNC else 0)
    return flags & ~_WAIT_KILLABLE  # means nothing without a listener, and the kernel refuses it then


def notifies(profile: Mapping[str, Any]) -> bool:
    """Whether somebody is to be asked about some system calls."""
    return any(rule.get("action") == "SCMP_ACT_NOTIFY" for rule in profile.get("syscalls") or ())


def _check(profile: Mapping[str, Any]) -> None:
    if profile.get("defaultAction") == "SCMP_ACT_NOTIFY":
        raise InvalidInput(
            "the default action of seccomp rules cannot be SCMP_ACT_NOTIFY: nobody could begin to listen"
        )
    if notifies(profile) and not profile.get("listenerPath"):
        raise InvalidInput("seccomp rules with SCMP_ACT_NOTIFY need a listenerPath")
    if profile.get("listenerMetadata") and not profile.get("listenerPath"):
        raise InvalidInput("the listenerMetadata of seccomp rules are for somebody at a listenerPath")
    for rule in profile.get("syscalls") or ():
        if not rule["names"]:
            raise InvalidInput(f"a seccomp rule for {rule['action']} names no system call")
        if rule.get("action") == "SCMP_ACT_NOTIFY":
            for name in _BEFORE_LISTENING:
                if name in rule["names"]:
                    raise InvalidInput(f"{name} cannot have SCMP_ACT_NOTIFY: the listener is handed over by it")


def load_tables(machine: str) -> None:
    """Import the tables that `compile_filter` will need on `machine`."""
    for architecture in MACHINES.get(machine, ()):
        syscall_numbers(architecture)


def syscall_numbers(architecture: str) -> dict[str, int]:
    """The numbers of an architecture's system calls by name."""
    if architecture == "SCMP_ARCH_AARCH64":
        from estiba.runtime.seccomp.aarch64 import TABLE
    elif architecture == "SCMP_ARCH_X86":
        from estiba.runtime.seccomp.i386 import TABLE
    elif architecture in ("SCMP_ARCH_X86_64", "SCMP_ARCH_X32"):
        from estiba.runtime.seccomp.x86_64 import TABLE, X32_TABLE

        if architecture == "SCMP_ARCH_X32":
            return {name: number | _X32_BIT for name, number in _read(TABLE + X32_TABLE).items()}
    else:
        raise NotThereYet(f"there is no table of system calls for {architecture}")
    return _read(TABLE)


def _read(table: str) -> dict[str, int]:
    numbers: dict[str, int] = {}
    following = 0
    for word in table.split():
        if word.isdigit():
            following = int(word)
        else:
            numbers[word] = following
            following += 1
    return numbers


def _action(name: str, errno: int | None) -> int:
    if name not in _ACTIONS:
        raise InvalidInput(f"there is no seccomp action {name!r}", remedy=f"Known: {', '.join(sorted(_ACTIONS))}.")
    action = _ACTIONS[name]
    if action in (ERRNO, TRACE):
        return action | ((_EPERM if errno is None else errno) & 0xFFFF)
    if action == TRAP:
        return action | ((errno or 0) & 0xFFFF)
    if errno is not None:
        raise InvalidInput(f"the seccomp action {name} carries no errno, and {errno} is given")
    return action


def _rules_by_name(documents: Iterable[Mapping[str, Any]], default: int) -> dict[str, list[Rule]]:
    rules: dict[str, list[Rule]] = {}
    for document in documents:
        action = _action(document["action"], document.get("errnoRet"))
        arguments = [_condition(argument) for argument in document.get("args") or ()]
        indexes = [condition[0] for condition in arguments]
        if len(set(indexes)) < len(indexes):
            alternatives: list[tuple[Condition, ...]] = [(condition,) for condition in arguments]
        else:
            alternatives = [tuple(arguments)]
        for name in document["names"]:
            rules.setdefault(name, []).extend((conditions, action) for conditions in alternatives)
    return rules


def _condition(argument: Mapping[str, Any]) -> Condition:
    index = argument["index"]
    if not 0 <= index <= 5:
        raise InvalidInput(f"a system call has arguments 0 to 5, not {index}")
    operator = argument["op"]
    if operator not in _COMPARISONS:
        raise InvalidInput(f"there is no seccomp operator {operator!r}")
    mask64 = 0xFFFFFFFFFFFFFFFF
    return index, operator, argument["value"] & mask64, (argument.get("valueTwo") or 0) & mask64


def _architecture(name: str, rules: Mapping[str, list[Rule]], default: int, *, with_x32: bool | None) -> Fragment:
    """The part for one architecture; `with_x32` is None where bit 30 means nothing."""
    fragment: Fragment = [(_LOAD, 0, 0, _NUMBER)]
    if with_x32 is not None:
        if with_x32:
            other = _search(_treatments("SCMP_ARCH_X32", rules, default))
        else:
            other = [(_RETURN, 0, 0, KILL_PROCESS)]
            # Number -1 is how a tracer skips a call; it is no x32 call.
            other = [(_EQUAL, 0, 1, 0xFFFFFFFF), (_RETURN, 0, 0, default), *other]
        fragment += _unless(_AT_LEAST, _X32_BIT, other)
    return fragment + _search(_treatments(name, rules, default))


def _treatments(name: str, rules: Mapping[str, list[Rule]], default: int) -> list[tuple[int, Fragment]]:
    """Ranges of numbers that are treated alike: (first number, what to do), ascending, the first being 0."""
    numbers = syscall_numbers(name)
    by_number = {
        numbers[call]: _chain(alternatives, default) for call, alternatives in rules.items() if call in numbers
    }
    otherwise: Fragment = [(_RETURN, 0, 0, default)]
    ranges: list[tuple[int, Fragment]] = []
    position = 0
    for number in sorted(by_number):
        if number > position or not ranges:
            _extend(ranges, position, otherwise)
        _extend(ranges, number, by_number[number])
        position = number + 1
    if default & 0xFFFF0000 == ERRNO and by_number:
        _extend(ranges, position, [(_RETURN, 0, 0, ERRNO | _ENOSYS)])
        if not position & _X32_BIT:
            _extend(ranges, _X32_BIT, otherwise)
    else:
        _extend(ranges, position, otherwise)
    return ranges


def _extend(ranges: list[tuple[int, Fragment]], first: int, fragment: Fragment) -> None:
    if ranges and ranges[-1][0] == first:
        ranges.pop()
    if not ranges or ranges[-1][1] != fragment:
        ranges.append((first, fragment))


def _search(ranges: Sequence[tuple[int, Fragment]]) -> Fragment:
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    low, high = _search(ranges[:middle]), _search(ranges[middle:])
    if len(low) <= _LONGEST_JUMP:
        return [(_AT_LEAST, len(low), 0, ranges[middle][0]), *low, *high]
    return [(_AT_LEAST, 0, 1, ranges[middle][0]), (_JUMP, 0, 0, len(low)), *low, *high]


def _unless(test: int, constant: int, block: Fragment) -> Fragment:
    """`block` when the test holds, else what follows."""
    if len(block) <= _LONGEST_JUMP:
        return [(test, 0, len(block), constant), *block]
    return [(test, 1, 0, constant), (_JUMP, 0, 0, len(block)), *block]


def _chain(alternatives: Sequence[Rule], default: int) -> Fragment:
    fragment: Fragment = [(_RETURN, 0, 0, default)]
    for conditions, action in reversed(alternatives):
        matched: Fragment = [(_RETURN, 0, 0, action)]
        if not conditions:
            fragment = matched
            continue
        tests: Fragment = []
        # Built backwards: `miss` is the distance from the end of each test to the next alternative.
        for condition in reversed(conditions):
            tests = _COMPARISONS[condition[1]](condition, len(tests) + len(matched)) + tests
        fragment = tests + matched + fragment
        if len(fragment) > _LONGEST_JUMP:
            raise InvalidInput("too many alternatives for one system call in the seccomp rules")
    return fragment


def _halves(condition: Condition) -> tuple[int, int, int, int]:
    index, _, value, _ = condition
    low = _ARGUMENTS + 8 * index
    return low, low + 4, value & 0xFFFFFFFF, value >> 32


# Each gives a test that runs past its own end when the condition holds, else `miss` instructions further.


def _equal(condition: Condition, miss: int) -> Fragment:
    low, high, value_low, value_high = _halves(condition)
    return [(_LOAD, 0, 0, high), (_EQUAL, 0, miss + 2, value_high), (_LOAD, 0, 0, low), (_EQUAL, 0, miss, value_low)]


def _not_equal(condition: Condition, miss: int) -> Fragment:
    low, high, value_low, value_high = _halves(condition)
    return [(_LOAD, 0, 0, high), (_EQUAL, 0, 2, value_high), (_LOAD, 0, 0, low), (_EQUAL, miss, 0, value_low)]


def _above(condition: Condition, miss: int, *, test: int) -> Fragment:
    low, high, value_low, value_high = _halves(condition)
    return [
        (_LOAD, 0, 0, high),
        (_GREATER, 3, 0, value_high),
        (_EQUAL, 0, miss + 2, value_high),
        (_LOAD, 0, 0, low),
        (test, 0, miss, value_low),
    ]


def _below(condition: Condition, miss: int, *, test: int) -> Fragment:
    low, high, value_low, value_high = _halves(condition)
    return [
        (_LOAD, 0, 0, high),
        (_GREATER, miss + 3, 0, value_high),
        (_EQUAL, 0, 2, value_high),
        (_LOAD, 0, 0, low),
        (test, miss, 0, value_low),
    ]


def _greater(condition: Condition, miss: int) -> Fragment:
    return _above(condition, miss, test=_GREATER)


def _greater_equal(condition: Condition, miss: int) -> Fragment:
    return _above(condition, miss, test=_AT_LEAST)


def _less(condition: Condition, miss: int) -> Fragment:
    return _below(condition, miss, test=_AT_LEAST)


def _less_equal(condition: Condition, miss: int) -> Fragment:
    return _below(condition, miss, test=_GREATER)


def _masked_equal(condition: Condition, miss: int) -> Fragment:
    """(argument & value) == valueTwo: the spec's `value` is the mask."""
    low, high, mask_low, mask_high = _halves(condition)
    wanted = condition[3]
    return [
        (_LOAD, 0, 0, high),
        (_AND, 0, 0, mask_high),
        (_EQUAL, 0, miss + 3, wanted >> 32),
        (_LOAD, 0, 0, low),
        (_AND, 0, 0, mask_low),
        (_EQUAL, 0, miss, wanted & 0xFFFFFFFF),
    ]


_COMPARISONS = {
    "SCMP_CMP_NE": _not_equal,
    "SCMP_CMP_LT": _less,
    "SCMP_CMP_LE": _less_equal,
    "SCMP_CMP_EQ": _equal,
    "SCMP_CMP_GE": _greater_equal,
    "SCMP_CMP_GT": _greater,
    "SCMP_CMP_MASKED_EQ": _masked_equal,
}

ACTIONS: tuple[str, ...] = tuple(_ACTIONS)
OPERATORS: tuple[str, ...] = tuple(_COMPARISONS)
