"""What keeps the kernel's own files from the container: masked paths, read-only paths, and sysctl set beforehand."""

from __future__ import annotations

import errno
import os
import stat

from estiba.linux import mountpoints as mp
from estiba.linux.filesystems import PROC, filesystem_type
from estiba.linux.paths import open_in_root
from estiba.runtime.errors import BadBundle
from estiba.runtime.rootfs.devices import open_null

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_IPC_PARAMETERS = frozenset(
    "kernel." + name for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)
_ABSENT = (errno.ENOENT, errno.ENOTDIR)


def mask(root: int, paths: Iterable[str], *, label: str = "") -> None:
    """Cover files with the null device and directories with an empty read-only tmpfs; what is absent stays absent.

    `label` is the SELinux label of those.
    """
    options = "nr_inodes=1"
    if label:
        from estiba.linux import labels

        options = ",".join(labels.labelled([options], label))
    null = -1
    try:
        for path in paths:
            place = _open(root, path)
            if place is None:
                continue
            try:
                if stat.S_ISDIR(os.fstat(place).st_mode):
                    mp.raw_mount("tmpfs", f"/proc/self/fd/{place}", "tmpfs", mp.MS_RDONLY, options, f"mask {path}")
                    continue
                if null < 0:
                    null = open_null(root)
                _cover(null, place, f"mask {path}")
            finally:
                os.close(place)
    finally:
        if null >= 0:
            os.close(null)


def make_read_only(root: int, paths: Iterable[str]) -> None:
    """Bind each path on itself, read-only with all below it."""
    for path in paths:
        place = _open(root, path)
        if place is None:
            continue
        try:
            tree = mp.clone_tree(place, recursive=True)
            try:
                mp.set_attributes(tree, 0x1, 0)
                mp.attach(tree, place, what=f"make {path} read-only")
            finally:
                os.close(tree)
        finally:
            os.close(place)


def apply_sysctl(root: int, values: Mapping[str, str], *, namespaces: Iterable[str]) -> None:
    """Write kernel parameters of the container's own namespaces, into what is proven to be its procfs.

    `namespaces` are the kinds that the container does not share with the host.

    Raises:
        BadBundle: the parameter does not exist, or would be the host's.
    """
    own = set(namespaces)
    for name, value in values.items():
        path = "/proc/sys/" + name.replace(".", "/")
        if _namespace_of(name) not in own:
            raise BadBundle(f"the sysctl {name!r} is not of a namespace: it would change the host")
        try:
            descriptor = open_in_root(root, path, os.O_WRONLY)
        except OSError as error:
            raise BadBundle(f"the sysctl {name!r} cannot be set: {os.strerror(error.errno or 0)}") from None
        try:
            if filesystem_type(descriptor) != PROC:
                raise BadBundle("a sysctl needs procfs mounted on /proc")
            os.write(descriptor, str(value).encode())
        except OSError as error:
            raise BadBundle(f"the sysctl {name}={value} was refused: {os.strerror(error.errno or 0)}") from None
        finally:
            os.close(descriptor)


def refuse_sysctl_of(kind: str, values: Iterable[str]) -> None:
    """Raise BadBundle where one of the parameters is of the namespace `kind`, which is ours: it would be the host's."""
    for name in values:
        if _namespace_of(name) == kind:
            raise BadBundle(f"the sysctl {name!r} is of the {kind} namespace, which is the host's")


def _namespace_of(name: str) -> str:
    """The kind of namespace that a parameter belongs to; "" for those of the whole machine."""
    dotted = name.replace("/", ".")
    if dotted.startswith("net."):
        return "network"
    if dotted.startswith("fs.mqueue.") or dotted in _IPC_PARAMETERS:
        return "ipc"
    if dotted in ("kernel.domainname", "kernel.hostname"):
        return "uts"
    return "user" if dotted.startswith("user.") else ""


def _open(root: int, path: str) -> int | None:
    try:
        return open_in_root(root, path, os.O_PATH)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise


def _cover(source: int, place: int, what: str) -> None:
    tree = mp.clone_tree(source, recursive=False)
    try:
        mp.attach(tree, place, what=what)
    finally:
        os.close(tree)
