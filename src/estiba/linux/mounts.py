"""Mounts as values, and the calls that make and undo them.

`Mount` says what is to be mounted, in the words of mount(8); `mount` does it. Every target below a root is resolved by
`linux.paths`, so a symbolic link in a hostile tree leads nowhere else, and mounted through its descriptor, so that it
cannot be exchanged in between.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from estiba.linux import overlay
from estiba.linux.libc import SYS_MOUNT_SETATTR, checked, libc, syscall
from estiba.linux.namespaces import CLONE_NEWNS, unshare
from estiba.linux.paths import open_in_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_SYNCHRONOUS = 0x10
MS_REMOUNT = 0x20
MS_MANDLOCK = 0x40
MS_DIRSYNC = 0x80
MS_NOSYMFOLLOW = 0x100
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_SILENT = 0x8000
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_I_VERSION = 1 << 23
MS_STRICTATIME = 1 << 24
MS_LAZYTIME = 1 << 25

MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8

# Flags of the mount point itself; a bind mount takes only these, by a second, remounting call.
PER_MOUNT_POINT = (
    MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME
) | MS_NOSYMFOLLOW

# option -> (flags it sets, flags it clears)
FLAG_OPTIONS: dict[str, tuple[int, int]] = {
    "defaults": (0, 0),
    "ro": (MS_RDONLY, 0),
    "rw": (0, MS_RDONLY),
    "suid": (0, MS_NOSUID),
    "nosuid": (MS_NOSUID, 0),
    "dev": (0, MS_NODEV),
    "nodev": (MS_NODEV, 0),
    "exec": (0, MS_NOEXEC),
    "noexec": (MS_NOEXEC, 0),
    "sync": (MS_SYNCHRONOUS, 0),
    "async": (0, MS_SYNCHRONOUS),
    "dirsync": (MS_DIRSYNC, 0),
    "remount": (MS_REMOUNT, 0),
    "mand": (MS_MANDLOCK, 0),
    "nomand": (0, MS_MANDLOCK),
    "atime": (0, MS_NOATIME),
    "noatime": (MS_NOATIME, 0),
    "diratime": (0, MS_NODIRATIME),
    "nodiratime": (MS_NODIRATIME, 0),
    "bind": (MS_BIND, 0),
    "rbind": (MS_BIND | MS_REC, 0),
    "relatime": (MS_RELATIME, 0),
    "norelatime": (0, MS_RELATIME),
    "strictatime": (MS_STRICTATIME, 0),
    "nostrictatime": (0, MS_STRICTATIME),
    "lazytime": (MS_LAZYTIME, 0),
    "nolazytime": (0, MS_LAZYTIME),
    "iversion": (MS_I_VERSION, 0),
    "noiversion": (0, MS_I_VERSION),
    "silent": (MS_SILENT, 0),
    "loud": (0, MS_SILENT),
    "symfollow": (0, MS_NOSYMFOLLOW),
    "nosymfollow": (MS_NOSYMFOLLOW, 0),
}

PROPAGATION_OPTIONS: dict[str, int] = {
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE | MS_REC,
    "slave": MS_SLAVE,
    "rslave": MS_SLAVE | MS_REC,
    "shared": MS_SHARED,
    "rshared": MS_SHARED | MS_REC,
    "unbindable": MS_UNBINDABLE,
    "runbindable": MS_UNBINDABLE | MS_REC,
}

_ATTR_ATIME = 0x70
# option -> (attributes that mount_setattr sets, attributes it clears), on the mount and all below it
RECURSIVE_OPTIONS: dict[str, tuple[int, int]] = {
    "rro": (0x1, 0),
    "rrw": (0, 0x1),
    "rnosuid": (0x2, 0),
    "rsuid": (0, 0x2),
    "rnodev": (0x4, 0),
    "rdev": (0, 0x4),
    "rnoexec": (0x8, 0),
    "rexec": (0, 0x8),
    "rnoatime": (0x10, _ATTR_ATIME),
    "ratime": (0, _ATTR_ATIME),
    "rrelatime": (0, _ATTR_ATIME),
    "rnorelatime": (0, _ATTR_ATIME),
    "rstrictatime": (0x20, _ATTR_ATIME),
    "rnostrictatime": (0, _ATTR_ATIME),
    "rnodiratime": (0x80, 0),
    "rdiratime": (0, 0x80),
    "rnosymfollow": (0x200000, 0),
    "rsymfollow": (0, 0x200000),
}

_AT_RECURSIVE = 0x8000
_AT_EMPTY_PATH = 0x1000


class Mount(NamedTuple):
    """One mount: `source` of filesystem `type` on `target`, relative to the root it is applied on ("" is the root).

    `options` are those of mount(8): ``ro``, ``nosuid``, ``rbind``, ``rprivate``, and data of the filesystem such as
    ``lowerdir=…`` or ``size=64m``.
    """

    type: str
    source: str
    target: str = ""
    options: tuple[str, ...] = ()


class MountOptions(NamedTuple):
    """Options sorted by what the kernel does with them; `data` is what is left for the filesystem."""

    flags: int
    cleared: int
    propagation: tuple[int, ...]
    recursive_set: int
    recursive_clear: int
    data: tuple[str, ...]


class _MountAttr(ctypes.Structure):
    _fields_ = [
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


def parse_options(options: Iterable[str]) -> MountOptions:
    """Sort mount options into flags, propagation, recursive attributes and data. The later one of two wins."""
    flags = cleared = recursive_set = recursive_clear = 0
    propagation: list[int] = []
    data: list[str] = []
    for option in options:
        if option in FLAG_OPTIONS:
            sets, clears = FLAG_OPTIONS[option]
            flags, cleared = (flags | sets) & ~clears, (cleared | clears) & ~sets
        elif option in PROPAGATION_OPTIONS:
            propagation.append(PROPAGATION_OPTIONS[option])
        elif option in RECURSIVE_OPTIONS:
            sets, clears = RECURSIVE_OPTIONS[option]
            recursive_set, recursive_clear = (recursive_set & ~clears) | sets, (recursive_clear & ~sets) | clears
        elif option:
            data.append(option)
    return MountOptions(flags, cleared, tuple(propagation), recursive_set, recursive_clear, tuple(data))


def mount(mount: Mount, target: str) -> None:
    """Make `mount` below the directory `target`, whose path is trusted; `mount.target` inside it is not.

    Raises:
        OSError: as mount(2), naming the mount. Nothing is left half mounted.
    """
    if mount.target.strip("/") == "":
        mount_at(mount, target)
        return
    root = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        place = open_in_root(root, mount.target, os.O_PATH)
    finally:
        os.close(root)
    try:
        mount_at(mount, f"/proc/self/fd/{place}", reopen=lambda: _open_again(target, mount.target))
    finally:
        os.close(place)


def mount_all(mounts: Iterable[Mount], target: str) -> None:
    """Make every mount in order below `target`; when one fails, those made before are taken away again."""
    made: list[Mount] = []
    try:
        for one in mounts:
            mount(one, target)
            made.append(one)
    except OSError:
        for one in reversed(made):
            place = _open_again(target, one.target) if one.target.strip("/") else None
            unmount(target if place is None else f"/proc/self/fd/{place}", detach=True, follow=place is not None)
            if place is not None:
                os.close(place)
        raise


def mount_at(mount: Mount, place: str, *, reopen: Callable[[], int] | None = None) -> None:
    """Make `mount` exactly at `place`, a trusted path or ``/proc/self/fd/N``.

    A descriptor names what was there before the mount, so the calls that follow (remount, propagation) need the place
    `reopen`-ed: a function that gives a descriptor of the new mount.
    """
    parsed = parse_options(mount.options)
    is_bind = bool(parsed.flags & MS_BIND)
    first = parsed.flags & (MS_BIND | MS_REC) if is_bind else parsed.flags
    what = f"mount {mount.source or mount.type} on {mount.target or place} ({mount.type or 'bind'})"
    if mount.type == "overlay" and not is_bind and not parsed.flags & MS_REMOUNT:
        overlay.mount_overlay(mount.source or "overlay", place, parsed.flags, parsed.data)
    else:
        _mount(mount.source, place, mount.type, first, ",".join(parsed.data), what)
    wanted = parsed.flags & PER_MOUNT_POINT
    needs_remount = is_bind and bool(wanted or parsed.cleared & PER_MOUNT_POINT)
    if not (needs_remount or parsed.propagation or parsed.recursive_set or parsed.recursive_clear):
        return
    again = reopen() if reopen else -1
    top = f"/proc/self/fd/{again}" if again >= 0 else place
    try:
        if needs_remount:
            remount_bind(top, wanted, cleared=parsed.cleared, what=what)
        for propagation in parsed.propagation:
            set_propagation(top, propagation)
        if parsed.recursive_set or parsed.recursive_clear:
            set_attributes(top, parsed.recursive_set, parsed.recursive_clear)
    except OSError:
        unmount(top, detach=True, follow=again >= 0)
        raise
    finally:
        if again >= 0:
            os.close(again)


def remount_bind(place: str, flags: int, *, cleared: int = 0, what: str = "") -> None:
    """Change the flags of the mount point `place` to `flags` besides those it has and that are not `cleared`.

    In a user namespace the inherited flags are locked, so leaving out one of them would be refused.
    """
    current = os.statvfs(place).f_flag
    kept = 0
    for bit in (MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOATIME, MS_NODIRATIME):
        kept |= current & bit
    if current & 0x1000:  # ST_RELATIME
        kept |= MS_RELATIME
    final = (kept & ~cleared) | flags
    _mount("", place, "", MS_BIND | MS_REMOUNT | final, "", what or f"remount {place}")


def set_propagation(place: str, propagation: int) -> None:
    """Set how mount events travel: a value of `PROPAGATION_OPTIONS`."""
    _mount("", place, "", propagation, "", f"change propagation of {place}")


def set_attributes(place: str, attributes: int, cleared: int, *, recursive: bool = True) -> None:
    """Set and clear mount attributes (MOUNT_ATTR_*) of `place` and, by default, of all mounts below it."""
    attr = _MountAttr(attributes, cleared, 0, 0)
    fd = os.open(place, os.O_PATH | os.O_CLOEXEC)
    try:
        flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
        size = ctypes.sizeof(attr)
        syscall(SYS_MOUNT_SETATTR, fd, b"", flags, ctypes.byref(attr), size, what=f"set attributes of {place}")
    finally:
        os.close(fd)


def bind(source: str, target: str, *, recursive: bool = False, read_only: bool = False) -> None:
    """Show `source` (trusted) at `target` (trusted) as well; read-only for the mount point when asked."""
    options = ("rbind" if recursive else "bind", *(("ro",) if read_only else ()))
    mount_at(Mount("", source, "", options), target)


def unmount(target: str, *, detach: bool = False, follow: bool = False) -> None:
    """Take away the topmost mount at `target`; `detach` also while it is in use (it vanishes with its last user).

    Raises:
        OSError: EBUSY while in use, EINVAL when nothing is mounted there.
    """
    flags = (MNT_DETACH if detach else 0) | (0 if follow else UMOUNT_NOFOLLOW)
    checked(libc.umount2(os.fsencode(target), flags), f"unmount {target}")


def is_mounted(target: str) -> bool:
    """Whether `target` is the root of a mount (statx(2), STATX_ATTR_MOUNT_ROOT, Linux 5.8).

    Raises:
        OSError: `target` does not exist.
    """
    buffer = ctypes.create_string_buffer(256)
    at_fdcwd, no_follow_no_automount = -100, 0x100 | 0x800
    checked(libc.statx(at_fdcwd, os.fsencode(target), no_follow_no_automount, 0, buffer), f"statx {target}")
    attributes = int.from_bytes(buffer.raw[8:16], sys.byteorder)
    return bool(attributes & 0x2000)


def make_private_namespace() -> None:
    """Move this process into a mount namespace of its own: what is mounted here is not seen outside and dies with it.

    Mounts made outside later still arrive (rslave), so that an unmount outside is not held up by us.
    """
    unshare(CLONE_NEWNS)
    set_propagation("/", MS_SLAVE | MS_REC)


def _open_again(target: str, inside: str) -> int:
    root = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return open_in_root(root, inside, os.O_PATH)
    finally:
        os.close(root)


def _mount(source: str, place: str, kind: str, flags: int, data: str, what: str) -> None:
    checked(
        libc.mount(
            os.fsencode(source) or None,
            os.fsencode(place),
            os.fsencode(kind) or None,
            ctypes.c_ulong(flags),
            os.fsencode(data) or None,
        ),
        what,
    )
