"""The container's /dev: default nodes, those of the spec, and links (config-linux.md, "Default Devices")."""

from __future__ import annotations

import os
import stat

from estiba.linux import mountpoints as mp
from estiba.linux.filesystems import PROC, SYSFS, filesystem_type
from estiba.linux.paths import make_directories, make_file, open_in_root
from estiba.runtime.errors import BadBundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

_DEFAULT = (
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
)
_LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
    ("/dev/core", "/proc/kcore"),
)
_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def are_ours(mounts: Iterable[Mapping[str, Any]]) -> bool:
    """Whether /dev is the runtime's to fill: not where a directory of the host is bound there."""
    return not any(
        os.path.normpath(m["destination"]) == "/dev" and {"bind", "rbind"} & {m.get("type"), *(m.get("options") or ())}
        for m in mounts
    )


def populate(root: int, devices: Iterable[Mapping[str, Any]], *, bind_host: bool) -> None:
    """Make the nodes and links. In a user namespace nodes cannot be made: the host's are bound instead."""
    wanted: dict[str, tuple[int, int, int, int, int]] = {}  # path -> mode with type, major, minor, uid, gid
    for path, major, minor in _DEFAULT:
        wanted[path] = (stat.S_IFCHR | 0o666, major, minor, 0, 0)
    for device in devices:
        kind = device.get("type")
        if kind not in _KINDS:
            raise BadBundle(f"the device {device.get('path')} has the unknown type {kind!r}")
        mode = _KINDS[kind] | (device.get("fileMode", 0o666) & 0o7777)
        numbers = device.get("major", 0), device.get("minor", 0)
        wanted[os.path.normpath(device["path"])] = (mode, *numbers, device.get("uid") or 0, device.get("gid") or 0)
    defaults = {path for path, _, _ in _DEFAULT}
    for path, (mode, major, minor, uid, gid) in wanted.items():
        try:
            if bind_host and not stat.S_ISFIFO(mode):
                _bind(root, path)
            else:
                _make(root, path, mode, os.makedev(major, minor), uid, gid, replaces=path in defaults)
        except OSError as error:
            raise BadBundle(f"the device {path} cannot be made: {os.strerror(error.errno or 0).lower()}") from None
    _link(root)


def _make(root: int, path: str, mode: int, numbers: int, uid: int, gid: int, *, replaces: bool) -> None:
    above, _, name = path.rpartition("/")
    directory = make_directories(root, above)
    try:
        try:
            os.mknod(name, mode, numbers, dir_fd=directory)
        except FileExistsError:
            info = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_IFMT(info.st_mode) == stat.S_IFMT(mode) and info.st_rdev == numbers:
                return
            if not replaces:
                raise BadBundle(f"the device {path} cannot be made: another file is there") from None
            os.unlink(name, dir_fd=directory)
            os.mknod(name, mode, numbers, dir_fd=directory)
        if uid or gid:
            os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)
    finally:
        os.close(directory)


def _bind(root: int, path: str) -> None:
    place = make_file(root, path, 0o666)
    try:
        _refuse_procfs(place, path)
        tree = mp.clone_tree(path, recursive=False)
        try:
            # It is the host's node: where its owner is mapped, chmod would change it for all. Writing to it goes on.
            mp.set_attributes(tree, 0x1, 0, recursive=False)
            mp.attach(tree, place, what=f"bind the device {path}")
        finally:
            os.close(tree)
    finally:
        os.close(place)


def _link(root: int) -> None:
    directory = make_directories(root, "/dev")
    try:
        for path, target in _LINKS:
            name = path.rpartition("/")[2]
            if name == "core" and not os.path.exists(target):
                continue
            try:
                os.symlink(target, name, dir_fd=directory)
            except FileExistsError:
                if name != "ptmx":
                    continue
                os.unlink(name, dir_fd=directory)  # the image's own would be the host's terminals
                os.symlink(target, name, dir_fd=directory)
    finally:
        os.close(directory)


def place_console(root: int, slave: int) -> None:
    """Show the container's terminal as /dev/console."""
    place = make_file(root, "/dev/console", 0o600)
    try:
        if filesystem_type(place) in (PROC, SYSFS):
            raise BadBundle("/dev/console leads to a file of the kernel's")  # CVE-2025-52565
        _refuse_procfs(place, "/dev/console")
        tree = mp.clone_tree(slave, recursive=False)
        try:
            mp.attach(tree, place, what="bind the terminal on /dev/console")
        finally:
            os.close(tree)
    finally:
        os.close(place)


def _refuse_procfs(place: int, path: str) -> None:
    """A link in /dev may lead to a file of procfs that somebody relies on (CVE-2025-52565)."""
    if filesystem_type(place) == PROC:
        raise BadBundle(f"{path} leads into procfs: nothing may be mounted there")


def open_null(root: int) -> int:
    """The container's /dev/null, proven to be the real one (CVE-2025-31133 used a link in its place)."""
    descriptor = open_in_root(root, "/dev/null", os.O_PATH | os.O_NOFOLLOW)
    info = os.fstat(descriptor)
    if not stat.S_ISCHR(info.st_mode) or info.st_rdev != os.makedev(1, 3):
        os.close(descriptor)
        raise BadBundle("/dev/null of the container is not the null device")
    return descriptor
