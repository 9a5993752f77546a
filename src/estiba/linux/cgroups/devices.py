"""Which devices a version 2 group may use: an eBPF program on the group (BPF_PROG_TYPE_CGROUP_DEVICE).

The program goes through the rules from the last to the first, and the first that covers the access decides, which is
what the order of writes means in version 1.
"""

from __future__ import annotations

import ctypes
import os
import struct

from estiba.errors import NotThereYet
from estiba.linux.cgroups.v1 import DEFAULT_DEVICES, device_rule
from estiba.linux.libc import syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

_SYS_BPF = {"x86_64": 321, "aarch64": 280}
_PROG_LOAD, _PROG_ATTACH = 5, 8
_TYPE_CGROUP_DEVICE, _ATTACH_CGROUP_DEVICE = 15, 6
_ALLOW_MULTI = 2

_KINDS = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_DEV_CHAR
_ACCESS = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_*

# Instructions (kernel: Documentation/bpf/standardization/instruction-set.rst)
_LOAD_WORD = 0x61
_COPY32, _COPY64_VALUE, _AND32_VALUE, _SHIFT_RIGHT32 = 0xBC, 0xB7, 0x54, 0x74
_JUMP_NOT_EQUAL32, _JUMP_NOT_EQUAL32_REGISTER, _EXIT = 0x56, 0x5E, 0x95


def program(rules: Iterable[Mapping[str, Any]]) -> bytes:
    """The eBPF program for rules of the runtime-spec, those for the default devices behind them. Pure."""
    texts = [(bool(rule["allow"]), device_rule(rule)) for rule in rules]
    texts.extend((True, text) for text in DEFAULT_DEVICES)
    code = [
        _instruction(_LOAD_WORD, 2, 1, 0, 0),  # r2 = access_type: access << 16 | kind
        _instruction(_COPY32, 3, 2, 0, 0),
        _instruction(_AND32_VALUE, 2, 0, 0, 0xFFFF),  # r2 = kind
        _instruction(_SHIFT_RIGHT32, 3, 0, 0, 16),  # r3 = access
        _instruction(_LOAD_WORD, 4, 1, 4, 0),  # r4 = major
        _instruction(_LOAD_WORD, 5, 1, 8, 0),  # r5 = minor
    ]
    for is_allowed, text in reversed(texts):
        block = _rule(is_allowed, text)
        code.extend(block)
        if text.startswith("a *:* ") and len(block) == 2:
            break
    else:
        code += [_instruction(_COPY64_VALUE, 0, 0, 0, 0), _instruction(_EXIT, 0, 0, 0, 0)]
    return b"".join(code)


def restrict(directory: str, rules: Iterable[Mapping[str, Any]]) -> None:
    """Attach the program for `rules` to the group `directory`.

    Raises:
        OSError: EPERM without CAP_BPF and CAP_NET_ADMIN, EINVAL where the kernel lacks it.
    """
    code = program(rules)
    machine = os.uname().machine
    if machine not in _SYS_BPF:
        raise NotThereYet(f"device rules on {machine} with control groups version 2 are not there yet")
    license_text = ctypes.create_string_buffer(b"Apache-2.0")
    buffer = ctypes.create_string_buffer(code, len(code))
    load = struct.pack(
        "<IIQQIIQII16sII",
        _TYPE_CGROUP_DEVICE,
        len(code) // 8,
        ctypes.addressof(buffer),
        ctypes.addressof(license_text),
        0,
        0,
        0,
        0,
        0,
        b"estiba_devices",
        0,
        _ATTACH_CGROUP_DEVICE,
    )
    loaded = _bpf(machine, _PROG_LOAD, load, "load the device rules")
    group = -1
    try:
        group = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        attach = struct.pack("<IIIII", group, loaded, _ATTACH_CGROUP_DEVICE, _ALLOW_MULTI, 0)
        _bpf(machine, _PROG_ATTACH, attach, f"attach the device rules to {directory}")
    finally:
        os.close(loaded)
        if group >= 0:
            os.close(group)


def _bpf(machine: str, command: int, attributes: bytes, what: str) -> int:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return syscall(_SYS_BPF[machine], command, ctypes.byref(buffer), len(attributes), what=what)


def _rule(is_allowed: bool, text: str) -> list[bytes]:
    kind, numbers, access = text.split()
    major, minor = numbers.split(":")
    wanted = sum(_ACCESS[letter] for letter in set(access))
    tests: list[tuple[int, int, int, int]] = []  # code, destination, source, value
    if kind != "a":
        tests.append((_JUMP_NOT_EQUAL32, 2, 0, _KINDS[kind]))
    if major != "*":
        tests.append((_JUMP_NOT_EQUAL32, 4, 0, int(major)))
    if minor != "*":
        tests.append((_JUMP_NOT_EQUAL32, 5, 0, int(minor)))
    prefix: list[tuple[int, int, int, int]] = []
    if wanted != 7:
        # Allowed: every access asked for must be among the rule's. Denied: one of them is enough.
        if is_allowed:
            prefix = [(_COPY32, 1, 3, 0), (_AND32_VALUE, 1, 0, wanted), (_JUMP_NOT_EQUAL32_REGISTER, 1, 3, 0)]
        else:
            prefix = [(_COPY32, 1, 3, 0), (_AND32_VALUE, 1, 0, wanted), (0x16, 1, 0, 0)]  # jump if equal to 0
    steps = [*tests, *prefix]
    block = []
    for position, (code, destination, source, value) in enumerate(steps):
        is_jump = code in (_JUMP_NOT_EQUAL32, _JUMP_NOT_EQUAL32_REGISTER, 0x16)
        distance = len(steps) - position - 1 + 2 if is_jump else 0
        block.append(_instruction(code, destination, source, distance, value))
    block.append(_instruction(_COPY64_VALUE, 0, 0, 0, int(is_allowed)))
    block.append(_instruction(_EXIT, 0, 0, 0, 0))
    return block


def _instruction(code: int, destination: int, source: int, offset: int, value: int) -> bytes:
    return struct.pack("<BBhI", code, source << 4 | destination, offset, value & 0xFFFFFFFF)
