"""The files of an image as one flat tar, its layers merged; entries in the order of their names."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator

from estiba.image.image import Image
from estiba.image.tree import ImageTree, Node
from estiba.store.store import Store
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

_KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}
_NOT_OURS = ("trusted.overlay.", "user.overlay.")


def export_tar(store: Store, image: Image, out: BinaryIO) -> None:
    """Write the merged files to `out`, which need not be seekable.

    Raises:
        NoSuchSnapshot: a layer is missing. OSError: `out` cannot be written.
    """
    tree = ImageTree(store, image.config.chain_id)
    links: dict[tuple[int, int], str] = {}
    with (
        store.leases.hold(f"export {image.id.short}"),
        tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, node in _walk(tree):
            _add(tar, name, node, links)


def _walk(tree: ImageTree) -> Iterator[tuple[str, Node]]:
    root = tree.root
    ahead: list[tuple[str, Node]] = [("", root)] if root else []
    while ahead:
        name, node = ahead.pop()
        if name:
            yield name, node
        if node.is_directory:
            children = tree.children(node)
            ahead += [(f"{name}/{child}" if name else child, children[child]) for child in reversed(children)]


def _add(tar: tarfile.TarFile, name: str, node: Node, links: dict[tuple[int, int], str]) -> None:
    status = node.status
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return  # a socket: nobody could use it
    member = tarfile.TarInfo(name)
    member.type = kind
    member.mode = stat.S_IMODE(status.st_mode)
    member.uid, member.gid, member.mtime = status.st_uid, status.st_gid, int(status.st_mtime)
    member.pax_headers = _attributes(node.parts[0])
    if kind == tarfile.SYMTYPE:
        member.linkname = os.readlink(node.parts[0])
    elif kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        member.devmajor, member.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    elif kind == tarfile.REGTYPE:
        first = links.setdefault((status.st_dev, status.st_ino), name)
        if first != name:
            member.type, member.linkname = tarfile.LNKTYPE, first
        else:
            member.size = status.st_size
            with open(node.parts[0], "rb") as file:
                tar.addfile(member, file)
            return
    tar.addfile(member)


def _attributes(path: str) -> dict[str, str]:
    """Extended attributes as GNU tar and star write them; those of the overlay are not the image's."""
    found = {}
    for name in os.listxattr(path, follow_symlinks=False):
        if not name.startswith(_NOT_OURS):
            value = os.getxattr(path, name, follow_symlinks=False)
            found[f"SCHILY.xattr.{name}"] = value.decode("utf-8", "surrogateescape")
    return found
