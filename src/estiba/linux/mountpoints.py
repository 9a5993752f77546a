"""Mount points: the kernel's flags, options as text, and the calls on one place that is known already.

Kept apart from `linux.mounts` and its value because the runtime needs only these, at every start of a container.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

from estiba.errors import InvalidInput
from estiba.linux import overlay
from estiba.linux.libc import (
    SYS_MOUNT_SETATTR,
    SYS_MOVE_MOUNT,
    SYS_OPEN_TREE,
    checked,
    libc,
    syscall,
)

TYPE_CHECKING = False
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

_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_AT_EMPTY_PATH = 0x1000
_OPEN_TREE_CLONE = 0x1
_MOVE_MOUNT_F_EMPTY_PATH = 0x04
_MOVE_MOUNT_T_SYMLINKS = 0x10
_MOVE_MOUNT_T_AUTOMOUNTS = 0x20
_MOVE_MOUNT_T_EMPTY_PATH = 0x40

_ATTR_NOATIME = 0x10
_ATTR_STRICTATIME = 0x20
_PLAIN_ATTRIBUTES = (
    (MS_RDONLY, 0x1),
    (MS_NOSUID, 0x2),
    (MS_NODEV, 0x4),
    (MS_NOEXEC, 0x8),
    (MS_NODIRATIME, 0x80),
    (MS_NOSYMFOLLOW, 0x200000),
)


class MountOptions:
    """Options sorted by what the kernel does with them; `data` is what is left for the filesystem."""

    __slots__ = ("cleared", "data", "flags", "propagation", "recursive_clear", "recursive_set")

    def __init__(self) -> None:
        self.flags = 0
        self.cleared = 0
        self.propagation: tuple[int, ...] = ()
        self.recursive_set = 0
        self.recursive_clear = 0
        self.data: tuple[str, ...] = ()


class _MountAttr(ctypes.Structure):
    _fields_ = [
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


def parse_options(options: Iterable[str]) -> MountOptions:
    """Sort mount options into flags, propagation, recursive attributes and data. The later one of two wins."""
    parsed = MountOptions()
    for option in options:
        if option in FLAG_OPTIONS:
            sets, clears = FLAG_OPTIONS[option]
            parsed.flags, parsed.cleared = (parsed.flags | sets) & ~clears, (parsed.cleared | clears) & ~sets
        elif option in PROPAGATION_OPTIONS:
            parsed.propagation += (PROPAGATION_OPTIONS[option],)
        elif option in RECURSIVE_OPTIONS:
            sets, clears = RECURSIVE_OPTIONS[option]
            parsed.recursive_set = (parsed.recursive_set & ~clears) | sets
            parsed.recursive_clear = (parsed.recursive_clear & ~sets) | clears
        elif option:
            parsed.data += (option,)
    return parsed


def mount_at(
    kind: str,
    source: str,
    place: str,
    options: Iterable[str],
    *,
    reopen: Callable[[], int] | None = None,
    name: str = "",
) -> None:
    """Mount `source` of filesystem `kind` exactly at `place`, a trusted path or ``/proc/self/fd/N``.

    A descriptor names what was there before the mount, so the calls that follow (propagation, attributes) need the
    place `reopen`-ed: a function that gives a descriptor of the new mount. `name` is what an error calls the place.

    Raises:
        OSError: as mount(2). Nothing is left half mounted.
    """
    parsed = parse_options(options)
    if parsed.flags & MS_BIND and not parsed.flags & MS_REMOUNT:
        _bind_at(source, place, parsed, reopen, name or place)
        return
    what = f"mount {source or kind} ({kind}) on {name or place}"
    if kind == "overlay" and not parsed.flags & MS_REMOUNT:
        overlay.mount_overlay(source or "overlay", place, parsed.flags, parsed.data)
    else:
        raw_mount(source, place, kind, parsed.flags, ",".join(parsed.data), what)
    if parsed.propagation or parsed.recursive_set or parsed.recursive_clear:
        _finish(place, reopen, parsed, remount=False)


def clone_tree(source: str | int, *, recursive: bool) -> int:
    """A descriptor of a detached copy of the mount at `source` (path or descriptor), to be placed by `attach`.

    Raises:
        OSError: as open_tree(2); the source does not exist, or may not be bound.
    """
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    if isinstance(source, int):
        return syscall(SYS_OPEN_TREE, source, b"", flags | _AT_EMPTY_PATH, what=f"bind descriptor {source}")
    return syscall(SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(source), flags, what=f"bind {source}")


def attach(tree: int, place: str | int, *, what: str = "attach a mount") -> None:
    """Put a detached mount at `place`: a trusted path whose links are followed, or a descriptor."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_SYMLINKS | _MOVE_MOUNT_T_AUTOMOUNTS
    if isinstance(place, int):
        syscall(SYS_MOVE_MOUNT, tree, b"", place, b"", flags | _MOVE_MOUNT_T_EMPTY_PATH, what=what)
    else:
        syscall(SYS_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(place), flags, what=what)


def set_options(tree: int, parsed: MountOptions) -> None:
    """Give the mount `tree` (a descriptor of its root) the flags, propagation and recursive attributes of `parsed`."""
    sets, clears = attributes_of(parsed.flags, parsed.cleared)
    if sets or clears:
        set_attributes(tree, sets, clears, recursive=False)
    if parsed.recursive_set or parsed.recursive_clear:
        set_attributes(tree, parsed.recursive_set, parsed.recursive_clear)
    for propagation in parsed.propagation:
        kind = propagation & ~MS_REC
        set_attributes(tree, 0, 0, propagation=kind, recursive=bool(propagation & MS_REC))


def attributes_of(flags: int, cleared: int) -> tuple[int, int]:
    """The MOUNT_ATTR_* to set and to clear for MS_* flags that are set and cleared."""
    sets = clears = 0
    for flag, attribute in _PLAIN_ATTRIBUTES:
        sets |= attribute if flags & flag else 0
        clears |= attribute if cleared & flag else 0
    for flag, attribute in ((MS_NOATIME, _ATTR_NOATIME), (MS_STRICTATIME, _ATTR_STRICTATIME), (MS_RELATIME, 0)):
        if flags & flag:
            return sets | attribute, clears | _ATTR_ATIME
    return sets, clears


def set_propagation(place: str, propagation: int) -> None:
    """Set how mount events travel: a value of `PROPAGATION_OPTIONS`."""
    raw_mount("", place, "", propagation, "", f"change the propagation of {place}")


def set_attributes(
    place: str | int,
    attributes: int,
    cleared: int,
    *,
    propagation: int = 0,
    user_namespace: int = 0,
    recursive: bool = True,
) -> None:
    """Set and clear attributes (MOUNT_ATTR_*, Linux 5.12) of the mount at `place`, by default of all below it too."""
    attr = _MountAttr(attributes, cleared, propagation, user_namespace)
    flags = _AT_RECURSIVE if recursive else 0
    what = f"change the options of the mount {place}"
    if isinstance(place, int):
        at, path, flags = place, b"", flags | _AT_EMPTY_PATH
    else:
        at, path = _AT_FDCWD, os.fsencode(place)
    syscall(SYS_MOUNT_SETATTR, at, path, flags, ctypes.byref(attr), ctypes.sizeof(attr), what=what)


def unmount(target: str, *, detach: bool = False, follow: bool = False) -> None:
    """Take away the topmost mount at `target`; `detach` also while it is in use (it vanishes with its last user).

    Raises:
        OSError: EBUSY while in use, EINVAL when nothing is mounted there.
    """
    flags = (MNT_DETACH if detach else 0) | (0 if follow else UMOUNT_NOFOLLOW)
    checked(libc.umount2(os.fsencode(target), flags), f"unmount {target}")


def is_mounted(target: str, *, directory: int = _AT_FDCWD) -> bool:
    """Whether `target` (in `directory`, a descriptor; "" is that itself) is the root of a mount (statx(2),
    STATX_ATTR_MOUNT_ROOT, Linux 5.8).

    Raises:
        OSError: `target` does not exist.
    """
    buffer = ctypes.create_string_buffer(256)
    flags = 0x100 | 0x800 | 0x1000  # AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, AT_EMPTY_PATH
    checked(libc.statx(directory, os.fsencode(target), flags, 0, buffer), f"statx {target}")
    attributes = int.from_bytes(buffer.raw[8:16], sys.byteorder)
    return bool(attributes & 0x2000)


def pivot_root(new_root: int) -> None:
    """Make the directory `new_root`, which must be a mount, the root of this mount namespace; the old one is gone.

    Both are stacked on one place first (pivot_root(2), "pivot_root(\".\", \".\")"), so no directory for the old root is
    needed, and what was mounted below it does not travel out when it is taken away.
    """
    old_root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fchdir(new_root)
        checked(libc.pivot_root(b".", b"."), "pivot_root")
        os.fchdir(old_root)
        raw_mount("", ".", "", MS_SLAVE | MS_REC, "", "let go of the old root")
        checked(libc.umount2(b".", MNT_DETACH), "unmount the old root")
    finally:
        os.close(old_root)
    os.chdir("/")


def raw_mount(source: str, place: str, kind: str, flags: int, data: str, what: str) -> None:
    """mount(2) itself; an empty text is a null pointer.

    Raises:
        OSError: as mount(2); EINVAL for a text with a null byte, where C would see its end.
    """
    texts = [os.fsencode(text) for text in (source, place, kind, data)]
    if any(b"\0" in text for text in texts):
        raise OSError(errno.EINVAL, f"{what}: a null byte")
    origin, target, filesystem, settings = texts
    checked(libc.mount(origin or None, target, filesystem or None, ctypes.c_ulong(flags), settings or None), what)


def _bind_at(source: str, place: str, parsed: MountOptions, reopen: Callable[[], int] | None, name: str) -> None:
    if parsed.data:
        raise InvalidInput(f"a bind mount (on {name}) takes no option {parsed.data[0]!r}")
    what = f"bind {source} on {name}"
    try:
        tree = clone_tree(source, recursive=bool(parsed.flags & MS_REC))
        try:
            set_options(tree, parsed)
            attach(tree, place, what=what)
        finally:
            os.close(tree)
    except OSError as error:
        if error.errno != errno.ENOSYS:  # Linux 5.11 lacks mount_setattr
            raise
        raw_mount(source, place, "", parsed.flags & (MS_BIND | MS_REC), "", what)
        _finish(place, reopen, parsed, remount=True)


def _finish(place: str, reopen: Callable[[], int] | None, parsed: MountOptions, *, remount: bool) -> None:
    """What mount(2) cannot do in one call."""
    again = reopen() if reopen else -1
    top = f"/proc/self/fd/{again}" if again >= 0 else place
    try:
        wanted = parsed.flags & PER_MOUNT_POINT
        if remount and wanted:
            raw_mount("", top, "", MS_BIND | MS_REMOUNT | wanted, "", f"change the options of {place}")
        for propagation in parsed.propagation:
            set_propagation(top, propagation)
        if parsed.recursive_set or parsed.recursive_clear:
            set_attributes(again if again >= 0 else place, parsed.recursive_set, parsed.recursive_clear)
    except OSError:
        unmount(top, detach=True, follow=again >= 0)
        raise
    finally:
        if again >= 0:
            os.close(again)
