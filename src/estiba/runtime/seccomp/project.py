"""What keeps a container within the quota of its project: rules against giving its files another project. Pure.

Who owns a file may say to which project it belongs, and of a directory whether what is made in it belongs there too,
without any capability; the kernel asks only that the caller be in the first user namespace (`fileattr_set_prepare` in
fs/file_attr.c). So root of a container with the host's ids, or any user of it, could put its files beyond the limit:
by ``FS_IOC_FSSETXATTR``, by ``FS_IOC_SETFLAGS`` (which takes FS_PROJINHERIT_FL away), and by file_setattr(2). These
are refused. Reading the attributes stays possible.

A request of ioctl(2) is known by its lower 16 bits, type and number, in the 64-bit and in the 32-bit form: the kernel
ignores the upper half of the register, so a comparison of all 64 bits could be gone around.
"""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

_SET_ATTRIBUTES = ord("X") << 8 | 32  # FS_IOC_FSSETXATTR
_SET_FLAGS = ord("f") << 8 | 2  # FS_IOC_SETFLAGS, FS_IOC32_SETFLAGS
_REQUESTS = (_SET_ATTRIBUTES, _SET_FLAGS)
_BITS = 16
_REFUSING = ("SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO")
_EPERM = 1


def kept_in_project(profile: Mapping[str, Any]) -> dict[str, Any]:
    """The runtime-spec's `linux.seccomp` object, with these requests refused and all else as in `profile`.

    In our runtime the first rule that matches decides, so that refusing first is enough. In libseccomp, which others
    use, a rule without conditions is stronger than one with any: those that let every request of ioctl pass let every
    other one pass instead.
    """
    rules: list[Mapping[str, Any]] = [_refused("ioctl", args=[_request(0xFFFF, request)]) for request in _REQUESTS]
    given = profile.get("syscalls") or ()
    if profile["defaultAction"] not in _REFUSING or any("file_setattr" in rule["names"] for rule in given):
        rules.append(_refused("file_setattr"))  # else calls older than it would no more be too new for the rules
    for rule in given:
        if rule["action"] in _REFUSING:
            rules.append(rule)
            continue
        names = [name for name in rule["names"] if name != "file_setattr"]
        if "ioctl" in names and not rule.get("args"):
            names.remove("ioctl")
            rules += [{**rule, "names": ["ioctl"], "args": [_request(*others)]} for others in _all_others()]
        if names:
            rules.append({**rule, "names": names})
    return {**profile, "syscalls": rules}


def _refused(name: str, **more: Any) -> dict[str, Any]:
    return {"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": _EPERM, **more}


def _request(mask: int, value: int) -> dict[str, Any]:
    """The condition that the request has `value` where `mask` has ones."""
    return {"index": 1, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}


def _all_others(mask: int = 0, value: int = 0, below: int = _BITS) -> Iterator[tuple[int, int]]:
    """Masks and values which together match every request but ours: the tree of the bits, without our branches."""
    if not any(request & mask == value for request in _REQUESTS):
        yield mask, value
    elif below:
        bit = 1 << below - 1
        yield from _all_others(mask | bit, value, below - 1)
        yield from _all_others(mask | bit, value | bit, below - 1)
