"""How much a directory may hold: a project of its own, whose limit the filesystem keeps (quotactl_fd(2), Linux 5.14).

ext4 and xfs have projects; whether they are counted and limited is decided when the filesystem is mounted. What is made
in a directory with a project belongs to that project too.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct

from estiba.errors import Unavailable
from estiba.linux.libc import syscall

_SYS_QUOTACTL_FD = 443
_PROJECTS = 2  # PRJQUOTA
_SET_QUOTA, _GET_QUOTA = 0x800008, 0x800007
_GET_STATE = ord("X") << 8 | 5  # Q_XGETQSTAT, which ext4 answers as well
_COUNTED, _LIMITED = 1 << 4, 1 << 5  # FS_QUOTA_PDQ_ACCT, FS_QUOTA_PDQ_ENFD

_GET_ATTRIBUTES, _SET_ATTRIBUTES = 0x801C581F, 0x401C5820  # FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR
_ATTRIBUTES = struct.Struct("=IIIII8s")
_INHERIT = 0x200  # FS_XFLAG_PROJINHERIT
_QUOTA = struct.Struct("=8QI4x")
_LIMITS_OF_SIZE = 1  # QIF_BLIMITS
_BLOCK = 1024

_FIRST, _LAST = 1 << 20, 1 << 31
_ATTEMPTS = 100
_REMEDY = (
    "Mount it with the option prjquota: xfs as it is, ext4 after `tune2fs -O project,quota -Q prjquota DEVICE` while it"
    " is not mounted. Or leave the size out."
)


def check(directory: str) -> None:
    """Raise Unavailable where the filesystem of `directory` keeps no limits of projects, saying what is missing."""
    descriptor = _open(directory)
    state = ctypes.create_string_buffer(256)
    try:
        syscall(_SYS_QUOTACTL_FD, descriptor, _GET_STATE << 8 | _PROJECTS, 0, state, what=f"ask {directory} for quotas")
        flags = struct.unpack_from("=H", state.raw, 2)[0]
    except OSError as error:
        if error.errno == errno.ENOSYS and not _has_call(descriptor):
            raise Unavailable("the kernel has no quotactl_fd (Linux 5.14 has)", remedy="Leave the size out.") from None
        flags = 0
    finally:
        os.close(descriptor)
    if not flags & _COUNTED:
        raise Unavailable(f"the filesystem of {directory} is mounted without project quotas", remedy=_REMEDY)
    if not flags & _LIMITED:
        raise Unavailable(f"the filesystem of {directory} counts projects but does not limit them", remedy=_REMEDY)


def limit(directories: list[str], size: int) -> None:
    """Give these empty directories of one filesystem a project together, which may hold `size` bytes.

    Raises:
        Unavailable: the filesystem refused.
    """
    opened = [_open(directory) for directory in directories]
    try:
        project = _free_project(opened[0])
        _set_limit(opened[0], project, size)
        for descriptor in opened:
            _set_project(descriptor, project)
    except OSError as error:
        raise Unavailable(
            f"{directories[0]} cannot be limited: {os.strerror(error.errno or 0).lower()}", remedy=_REMEDY
        ) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)


def lift(directory: str) -> None:
    """Take the limit of the directory's project away; nothing happens where it has none."""
    try:
        descriptor = _open(directory)
    except FileNotFoundError:
        return
    try:
        project = _attributes(descriptor)[3]
        if project >= _FIRST:
            _set_limit(descriptor, project, 0)
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EOPNOTSUPP, errno.ENOSYS, errno.ESRCH, errno.EPERM, errno.ENOENT):
            raise
    finally:
        os.close(descriptor)


def _open(directory: str) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _has_call(descriptor: int) -> bool:
    """Whether the system call is there: a command that nobody has is EINVAL, not ENOSYS."""
    try:
        syscall(_SYS_QUOTACTL_FD, descriptor, 0x7F << 8 | _PROJECTS, 0, None, what="try quotactl_fd")
    except OSError as error:
        return error.errno != errno.ENOSYS
    return True


def _free_project(descriptor: int) -> int:
    """A number that nobody has: of a random one nothing is counted, and nothing limited."""
    for _ in range(_ATTEMPTS):
        project = _FIRST + int.from_bytes(os.urandom(4), "little") % (_LAST - _FIRST)
        answer = ctypes.create_string_buffer(_QUOTA.size)
        try:
            syscall(
                _SYS_QUOTACTL_FD, descriptor, _GET_QUOTA << 8 | _PROJECTS, project, answer, what="ask for a project"
            )
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            return project
        if not any(_QUOTA.unpack(answer.raw)[:6]):
            return project
    raise OSError(errno.EBUSY, "no project is free")


def _set_limit(descriptor: int, project: int, size: int) -> None:
    """0 is no limit."""
    wanted = ctypes.create_string_buffer(_QUOTA.pack(-(-size // _BLOCK), 0, 0, 0, 0, 0, 0, 0, _LIMITS_OF_SIZE))
    syscall(_SYS_QUOTACTL_FD, descriptor, _SET_QUOTA << 8 | _PROJECTS, project, wanted, what="limit a project")


def _attributes(descriptor: int) -> tuple[int, int, int, int, int, bytes]:
    buffer = bytearray(_ATTRIBUTES.size)
    fcntl.ioctl(descriptor, _GET_ATTRIBUTES, buffer)
    flags, extent_size, extents, project, copy_size, rest = _ATTRIBUTES.unpack(buffer)
    return flags, extent_size, extents, project, copy_size, rest


def _set_project(descriptor: int, project: int) -> None:
    flags, extent_size, extents, _, copy_size, rest = _attributes(descriptor)
    wanted = _ATTRIBUTES.pack(flags | _INHERIT, extent_size, extents, project, copy_size, rest)
    fcntl.ioctl(descriptor, _SET_ATTRIBUTES, wanted)
