"""Trees as values that tests can compare: everything of a directory that a layer has to keep."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple


class Node(NamedTuple):
    """`content` is a file's bytes, a link's target, or a device's numbers; `links` names all that share the inode."""

    kind: str
    mode: int
    owner: tuple[int, int]
    content: object
    mtime: int
    xattrs: tuple[tuple[str, bytes], ...]
    links: tuple[str, ...]


_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFSOCK: "socket",
}


def describe(root: object) -> dict[str, Node]:
    """All below the directory `root`, by path relative to it."""
    top = os.fspath(root)  # type: ignore[call-overload]
    found: dict[str, tuple[os.stat_result, str]] = {}
    for directory, directories, files in os.walk(top):
        for name in directories + files:
            path = os.path.join(directory, name)
            found[os.path.relpath(path, top)] = (os.lstat(path), path)
    sharing: dict[tuple[int, int], list[str]] = {}
    for name, (status, _) in found.items():
        if not stat.S_ISDIR(status.st_mode):
            sharing.setdefault((status.st_dev, status.st_ino), []).append(name)
    return {
        name: Node(
            _KINDS[stat.S_IFMT(status.st_mode)],
            stat.S_IMODE(status.st_mode),
            (status.st_uid, status.st_gid),
            _content(path, status),
            int(status.st_mtime),
            tuple(sorted((key, os.getxattr(path, key, follow_symlinks=False)) for key in _xattrs(path))),
            tuple(sorted(sharing.get((status.st_dev, status.st_ino), []))),
        )
        for name, (status, path) in sorted(found.items())
    }


def names(root: object) -> list[str]:
    return list(describe(root))


def _content(path: str, status: os.stat_result) -> object:
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            return file.read()
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(path)
    return (os.major(status.st_rdev), os.minor(status.st_rdev))


def _xattrs(path: str) -> list[str]:
    return [key for key in os.listxattr(path, follow_symlinks=False) if key != "security.selinux"]
