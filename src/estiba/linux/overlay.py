"""Mounting an overlay of any number of lower directories.

The data of mount(2) is one page. Where the list of lowers does not fit, or a path holds `,` or `:`, the new mount API
takes them one by one (`lowerdir+`, Linux 6.5); before that, every directory is named by its descriptor in
/proc/self/fd, which is short and needs no change of the working directory.
"""

from __future__ import annotations

import ctypes
import errno
import os

from estiba.linux.libc import SYS_FSCONFIG, SYS_FSMOUNT, SYS_FSOPEN, SYS_MOVE_MOUNT, checked, libc, syscall

_PAGE = 4096
_FSCONFIG_STRING_LIMIT = 255
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_CLOEXEC = 1
# MS_* of mount(2) -> MOUNT_ATTR_* of fsmount(2)
_ATTRIBUTES = {0x1: 0x1, 0x2: 0x2, 0x4: 0x4, 0x8: 0x8, 0x400: 0x10, 0x800: 0x80, 0x100: 0x200000}
_DIRECTORY_OPTIONS = ("upperdir", "workdir")


def split_lowers(value: str) -> list[str]:
    r"""The directories of a ``lowerdir=`` value, top first; ``\:`` is a colon in a name."""
    parts: list[str] = [""]
    escaped = False
    for character in value:
        if escaped:
            parts[-1] += character
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == ":":
            parts.append("")
        else:
            parts[-1] += character
    return parts


def join_lowers(directories: list[str] | tuple[str, ...]) -> str:
    r"""The ``lowerdir=`` value of `directories`, with ``\`` before what would separate."""
    return ":".join(d.replace("\\", "\\\\").replace(":", "\\:") for d in directories)


def mount_overlay(source: str, place: str, flags: int, data: tuple[str, ...]) -> None:
    """Mount an overlay at `place` (trusted path or ``/proc/self/fd/N``) with the options `data`.

    Raises:
        OSError: as mount(2).
    """
    text = ",".join(data)
    awkward = any("," in option or "\\" in option for option in data)
    if len(os.fsencode(text)) < _PAGE and not awkward:
        _classic(source, place, flags, text)
        return
    lowers: list[str] = []
    others: list[tuple[str, str | None]] = []
    for option in data:
        name, separator, value = option.partition("=")
        if name == "lowerdir":
            lowers = split_lowers(value)
        else:
            others.append((name, value if separator else None))
    descriptors: list[int] = []
    try:
        try:
            _modern(source, place, flags, lowers, others, descriptors)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EPERM):
                raise
            _classic(source, place, flags, _by_descriptors(lowers, others, descriptors))
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _classic(source: str, place: str, flags: int, text: str) -> None:
    result = libc.mount(
        os.fsencode(source), os.fsencode(place), b"overlay", ctypes.c_ulong(flags), os.fsencode(text) or None
    )
    checked(result, f"mount overlay on {place}")


def _short(path: str, descriptors: list[int]) -> str:
    descriptors.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    return f"/proc/self/fd/{descriptors[-1]}"


def _by_descriptors(lowers: list[str], others: list[tuple[str, str | None]], descriptors: list[int]) -> str:
    options = ["lowerdir=" + ":".join(_short(lower, descriptors) for lower in lowers)]
    for name, value in others:
        if value is None:
            options.append(name)
        else:
            options.append(f"{name}={_short(value, descriptors) if name in _DIRECTORY_OPTIONS else value}")
    return ",".join(options)


def _modern(
    source: str,
    place: str,
    flags: int,
    lowers: list[str],
    others: list[tuple[str, str | None]],
    descriptors: list[int],
) -> None:
    what = f"mount overlay of {len(lowers)} layers on {place}"
    options = [("source", source), *(("lowerdir+", lower) for lower in lowers), *others]
    made = _create(flags, options, descriptors, what)
    try:
        # The target is taken like mount(2) takes it: links are followed (MOVE_MOUNT_T_SYMLINKS), /proc/self/fd too.
        syscall(SYS_MOVE_MOUNT, made, b"", -100, os.fsencode(place), _MOVE_MOUNT_F_EMPTY_PATH | 0x10 | 0x20, what=what)
    finally:
        os.close(made)


def create_detached(lower: str, *, upper: str, work: str, options: list[tuple[str, str | None]]) -> int:
    """Make an overlay that is mounted nowhere and vanishes with the descriptor given: the way to ask if one works.

    Raises:
        OSError: the kernel refuses this user, these directories or an option.
    """
    descriptors: list[int] = []
    everything = [("lowerdir", lower), ("upperdir", upper), ("workdir", work), *options]
    try:
        return _create(0, everything, descriptors, f"make an overlay over {lower}")
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _create(flags: int, options: list[tuple[str, str | None]], descriptors: list[int], what: str) -> int:
    """A descriptor of a new overlay that is mounted nowhere; paths too long for fsconfig(2) go by descriptors."""
    context = syscall(SYS_FSOPEN, b"overlay", _CLOEXEC, what=what)
    try:
        for key, value in options:
            if value is None:
                syscall(SYS_FSCONFIG, context, _FSCONFIG_SET_FLAG, key.encode(), None, 0, what=f"{what}: {key}")
                continue
            raw = os.fsencode(value)
            if len(raw) > _FSCONFIG_STRING_LIMIT:
                raw = os.fsencode(_short(value, descriptors))
            syscall(SYS_FSCONFIG, context, _FSCONFIG_SET_STRING, key.encode(), raw, 0, what=f"{what}: {key}={value}")
        if flags & 0x1:
            syscall(SYS_FSCONFIG, context, _FSCONFIG_SET_FLAG, b"ro", None, 0, what=f"{what}: ro")
        syscall(SYS_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0, what=what)
        attributes = 0
        for flag, attribute in _ATTRIBUTES.items():
            attributes |= attribute if flags & flag else 0
        return syscall(SYS_FSMOUNT, context, _CLOEXEC, attributes, what=what)
    finally:
        os.close(context)
