"""A container of root's with ids of its own (`--userns`): which ones, and what of the container is theirs.

The user namespace and the network namespace that it owns are made here and last over restarts.
"""

from __future__ import annotations

import os

from estiba.engine.monitor.copy_up import fill_volume
from estiba.engine.monitor.lenders import namespace_of
from estiba.errors import Conflict, NotFound, Unavailable
from estiba.linux.namespaces import has_root
from estiba.linux.own_ids import HOST_REMEDY, OwnIds
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.monitor.request import Borrowed, StartRequest

_BY_THE_RUNTIME = ("none", "host")  # networks that are not made for the container by us


def own_ids(request: StartRequest) -> OwnIds | None:
    """The ids that the container is to have; None for the host's. The caller has one thread.

    Raises:
        Unavailable: no range is left, another runtime than ours is used, or the kernel refused.
        Conflict: the container whose ids are wanted has ended. NotFound: there is no such namespace.
    """
    options = request.options
    kind = options.userns
    if kind in ("", "host"):
        return None
    if not request.runtime_is_ours:  # others walk to the container's files by their path, which its root may not
        raise Unavailable(f"--userns={kind} takes Estiba's own runtime", remedy=f"Leave --runtime out. {HOST_REMEDY}")
    if not has_root():
        raise Unavailable(
            f"--userns={kind} takes root: an ordinary user's containers share its ids", remedy=HOST_REMEDY
        )
    network = options.network not in _BY_THE_RUNTIME and not options.network.startswith("container:")
    if kind == "auto":
        return OwnIds.take(options.userns_size, users=options.uid_map, groups=options.gid_map, network=network)
    if kind == "maps":
        return OwnIds.mapped(options.uid_map, options.gid_map, network=network)
    if kind == "container":
        return _of_container(next(one for one in request.borrowed if one.kind == "user"), network=network)
    return _of_namespace(options.userns_target, network=network)


def fill(own: OwnIds, rootfs: str, target: str, volume: str) -> None:
    """As `copy_up.fill_volume`, by a process with the rights of the container's root and nothing more.

    Raises:
        Unavailable: it could not.
    """
    if os.listdir(volume):
        return
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        reason = own.with_tree(volume, lambda place: _fill(root, target, place))
    finally:
        os.close(root)
    if reason:
        raise Unavailable(f"the volume on {target} cannot be filled: {reason}")


def _fill(root: int, target: str, place: str) -> None:
    fill_volume(f"/proc/self/fd/{root}", target, place)


def _of_container(borrowed: Borrowed, *, network: bool) -> OwnIds | None:
    """Those of another container; None where it has the host's."""
    namespace = namespace_of(borrowed)
    if os.path.samestat(os.fstat(namespace), os.stat("/proc/self/ns/user")):
        os.close(namespace)
        return None
    own = OwnIds.joined(namespace, network=network)
    try:
        # Only now is the range sure to stay: it may have been given to another before.
        os.close(namespace_of(borrowed))
    except Conflict:
        own.close()
        raise
    return own


def _of_namespace(path: str, *, network: bool) -> OwnIds | None:
    try:
        namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NotFound(f"the user namespace {path} cannot be opened: {error.strerror}") from None
    if os.path.samestat(os.fstat(namespace), os.stat("/proc/self/ns/user")):
        os.close(namespace)
        return None
    return OwnIds.joined(namespace, network=network)
