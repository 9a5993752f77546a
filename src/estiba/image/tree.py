"""The files of an image, read through its layers without mounting anything.

Layers are trees as overlayfs has them (Documentation/filesystems/overlayfs.rst, "Upper and Lower"): a character device
0:0 removes a name, a directory marked opaque hides what lies below it. Links are resolved within the image, by walking:
what the layers hold may have been made by somebody hostile, and never leads outside.
"""

from __future__ import annotations

import errno
import os
import stat

from estiba.errors import Corrupt, InvalidInput, NotFound
from estiba.oci.digest import Digest
from estiba.store.store import Store
from estiba.values import NamedTuple

_MOST_LINKS = 40  # as the kernel's own limit
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")


class PathNotFound(NotFound):
    def __init__(self, path: str) -> None:
        super().__init__(f"the image has no {path}")


class Entry(NamedTuple):
    """A file of the image: `path` is where its bytes are on this machine; a link is not followed there."""

    path: str
    status: os.stat_result

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)


class Node(NamedTuple):
    """A place in the merged tree: the paths which make it up, the top one first; several only for a directory.

    Two nodes with the same parts are the same, with all below them.
    """

    parts: tuple[str, ...]
    status: os.stat_result

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)


class ImageTree:
    """The tree of the image (or stack of layers) `chain`; None is the empty one. A lease or a use must hold it."""

    def __init__(self, store: Store, chain: Digest | None) -> None:
        self._layers: tuple[str, ...] = tuple(store.snapshots.directories(chain)) if chain is not None else ()

    def read_file(self, path: str, *, limit: int) -> bytes:
        """The bytes of the regular file at `path`, links followed.

        Raises:
            PathNotFound. InvalidInput: it is not a regular file. Corrupt: it has more than `limit` bytes.
        """
        entry = self.stat(path)
        if not stat.S_ISREG(entry.status.st_mode):
            raise InvalidInput(f"{path} of the image is not a regular file")
        if entry.status.st_size > limit:
            raise Corrupt(f"{path} of the image has {entry.status.st_size} bytes, more than the limit of {limit}")
        with open(entry.path, "rb") as file:
            return file.read(limit)

    def read_text(self, path: str, *, limit: int = 1 << 20) -> str:
        """The same as text, for /etc/passwd and its like: "" where there is no such file."""
        try:
            return self.read_file(path, limit=limit).decode("utf-8", "replace")
        except PathNotFound:
            return ""

    def stat(self, path: str, *, follow: bool = True) -> Entry:
        """What is at `path`; where it ends in a link and `follow` is False, the link itself. Raises PathNotFound."""
        node = self._walk(path, follow=follow)
        if node is None:
            raise PathNotFound(path)
        return Entry(node.parts[0], node.status)

    def exists(self, path: str) -> bool:
        return self._walk(path, follow=True) is not None

    def list(self, path: str) -> dict[str, Entry]:
        """The entries of a directory by name, in the order of their names. Raises PathNotFound, InvalidInput."""
        node = self._walk(path, follow=True)
        if node is None:
            raise PathNotFound(path)
        if not stat.S_ISDIR(node.status.st_mode):
            raise InvalidInput(f"{path} of the image is not a directory")
        return {name: Entry(child.parts[0], child.status) for name, child in self.children(node).items()}

    @property
    def root(self) -> Node | None:
        """The root directory; None for the empty tree."""
        return Node(self._layers, os.lstat(self._layers[0])) if self._layers else None

    def children(self, node: Node) -> dict[str, Node]:
        """What is in the directory `node`, in the order of the names."""
        names = {name for part in node.parts for name in os.listdir(part)}
        found = {name: self._child(node, name) for name in sorted(names)}
        return {name: child for name, child in found.items() if child is not None}

    def child(self, node: Node, name: str) -> Node | None:
        """The entry `name` of the directory `node`; None where there is none."""
        return self._child(node, name)

    def _walk(self, path: str, *, follow: bool) -> Node | None:
        """Resolve `path` from the root; None where there is nothing."""
        root = self.root
        if root is None:
            return None
        above: list[Node] = [root]
        ahead = _names(path)
        links = 0
        while ahead:
            name = ahead.pop()
            if name == "..":
                if len(above) > 1:
                    above.pop()
                continue
            child = self._child(above[-1], name)
            if child is None:
                return None
            mode = child.status.st_mode
            if stat.S_ISLNK(mode) and (ahead or follow):
                links += 1
                if links > _MOST_LINKS:
                    raise InvalidInput(f"{path} of the image: too many levels of symbolic links")
                target = os.readlink(child.parts[0])
                if target.startswith("/"):
                    del above[1:]
                ahead.extend(_names(target))
                continue
            if ahead and not stat.S_ISDIR(mode):
                return None
            above.append(child)
        return above[-1]

    def _child(self, node: Node, name: str) -> Node | None:
        """The entry `name` of a directory, as overlayfs merges it."""
        parts: list[str] = []
        first: os.stat_result | None = None
        for directory in node.parts:
            path = f"{directory}/{name}"
            try:
                status = os.lstat(path)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                    continue
                raise
            if is_whiteout(status):
                break
            if not stat.S_ISDIR(status.st_mode):
                return Node((path,), status) if first is None else Node(tuple(parts), first)
            parts.append(path)
            first = first or status
            if is_opaque(path):
                break
        return Node(tuple(parts), first) if first is not None else None


def _names(path: str) -> list[str]:
    """The components of `path`, the first one last."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def is_whiteout(status: os.stat_result) -> bool:
    """Whether a file of a layer only says that a name is gone."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(path: str) -> bool:
    """Whether the directory `path` of a layer hides what the layers below have there."""
    for name in _OPAQUE:
        try:
            if os.getxattr(path, name, follow_symlinks=False) == b"y":
                return True
        except OSError as error:
            if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM):
                raise
    return False
