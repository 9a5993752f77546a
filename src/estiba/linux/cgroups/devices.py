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
_PROG_LOAD, _PROG_ATTACH, _PROG_GET_FD_BY_ID, _OBJ_GET_INFO_BY_FD, _PROG_QUERY = 5, 8, 13, 15, 16
_TYPE_CGROUP_DEVICE, _ATTACH_CGROUP_DEVICE = 15, 6
_ALLOW_MULTI, _REPLACE = 2, 4
_NAME = b"estiba_devices"  # by which a program of ours is known among those of others (systemd has its own)
_MOST_PROGRAMS = 64  # of one group and kind (BPF_CGROUP_MAX_PROGS)

_NAME_AT, _INFO_SIZE = 64, 80  # of struct bpf_prog_info, as far as its name

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
    """Attach the program for `rules` to the group `directory`, in one step in place of the one that we gave it before.

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
        _NAME,
        0,
        _ATTACH_CGROUP_DEVICE,
    )
    opened = [_bpf(machine, _PROG_LOAD, load, "load the device rules")]
    try:
        opened.append(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        before = _attached(machine, opened[1])
        flags = _ALLOW_MULTI
        if before >= 0:
            opened.append(before)
            flags |= _REPLACE
        attach = struct.pack("<IIIII", opened[1], opened[0], _ATTACH_CGROUP_DEVICE, flags, max(before, 0))
        _bpf(machine, _PROG_ATTACH, attach, f"attach the device rules to {directory}")
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _attached(machine: str, group: int) -> int:
    """A descriptor of the program that we attached to the open group before; -1: there is none."""
    ids = (ctypes.c_uint32 * _MOST_PROGRAMS)()
    query = bytearray(struct.pack("<IIIIQII", group, _ATTACH_CGROUP_DEVICE, 0, 0, ctypes.addressof(ids), len(ids), 0))
    _bpf(machine, _PROG_QUERY, query, "look for device rules")
    (count,) = struct.unpack_from("<I", query, 24)
    for number in ids[:count]:
        descriptor = _bpf(machine, _PROG_GET_FD_BY_ID, struct.pack("<III", number, 0, 0), "open device rules")
        info = ctypes.create_string_buffer(_INFO_SIZE)
        ask = struct.pack("<IIQ", descriptor, _INFO_SIZE, ctypes.addressof(info))
        try:
            _bpf(machine, _OBJ_GET_INFO_BY_FD, ask, "read device rules")
        except OSError:
            os.close(descriptor)
            raise
        if info.raw[_NAME_AT:_INFO_SIZE].rstrip(b"\0") == _NAME:
            return descriptor
        os.close(descriptor)
    return -1


def _bpf(machine: str, command: int, attributes: bytes | bytearray, what: str) -> int:
    """Call bpf(2); a bytearray gets what the kernel answers."""
    buffer = ctypes.create_string_buffer(bytes(attributes), len(attributes))
    result = syscall(_SYS_BPF[machine], command, ctypes.byref(buffer), len(attributes), what=what)
    if isinstance(attributes, bytearray):
        attributes[:] = buffer.raw
    return result


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
