"""The root filesystem of a container, step by step, all of it before pivot_root.

While the host's root is still ours, /proc/self/fd is the host's, which no image can forge; every destination is opened
inside the new root by `linux.paths` and mounted through its descriptor.
"""

from __future__ import annotations

import os

from estiba.linux import mountpoints as mp
from estiba.linux.paths import make_directories
from estiba.runtime.rootfs import devices, guards, mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from estiba.linux.cgroups.group import Group


def enter_private_tree(rootfs: str, propagation: str) -> int:
    """Cut this mount namespace off the host's and put the root filesystem on itself; gives its descriptor.

    `propagation` is the spec's rootfsPropagation: only `shared` lets mounts travel out, which asks for it.
    """
    if propagation in ("shared", "rshared"):
        mp.set_propagation(_mount_above(rootfs), mp.MS_PRIVATE)
    else:
        kind = mp.MS_PRIVATE if propagation in ("private", "rprivate") else mp.MS_SLAVE
        mp.set_propagation("/", kind | mp.MS_REC)
    root = mp.clone_tree(rootfs, recursive=True)
    mp.set_attributes(root, 0, 0, propagation=mp.MS_PRIVATE, recursive=False)
    mp.attach(root, rootfs, what=f"bind the root filesystem {rootfs}")
    return root


def build(
    root: int,
    config: dict[str, Any],
    *,
    bundle: str,
    group: Group | None,
    in_user_namespace: bool,
    mapped: Mapping[int, int],
) -> None:
    """Mounts, devices, sysctl, masked and read-only paths, in the order in which they depend on each other.

    `mapped`: those of the mounts (by position) whose source is a detached mount already, with other owners.
    """
    linux = config.get("linux") or {}
    wanted = config.get("mounts") or []
    for position, mount in enumerate(wanted):
        tree = mapped.get(position, -1)
        mounts.make(root, mount, bundle=bundle, group=group, tree=tree, label=linux.get("mountLabel") or "")
    if devices.are_ours(wanted):
        devices.populate(root, linux.get("devices") or [], bind_host=in_user_namespace)
    kinds = [namespace["type"] for namespace in linux.get("namespaces") or ()]
    guards.apply_sysctl(root, linux.get("sysctl") or {}, namespaces=kinds)
    _make_working_directory(root, config["process"]["cwd"])
    guards.make_read_only(root, linux.get("readonlyPaths") or [])
    guards.mask(root, linux.get("maskedPaths") or [], label=linux.get("mountLabel") or "")


def seal(root: int, config: dict[str, Any]) -> None:
    """Make the root read-only where asked: the last change to it."""
    if config["root"].get("readonly"):
        mp.set_attributes(root, 0x1, 0, recursive=False)


def propagate(propagation: str) -> None:
    """After pivot_root: how mounts travel from here on."""
    if propagation and propagation not in ("private", "rprivate"):
        mp.set_propagation("/", mp.PROPAGATION_OPTIONS[propagation])


def _make_working_directory(root: int, path: str) -> None:
    try:
        os.close(make_directories(root, path))
    except OSError:
        return  # a read-only root, or a file in the way: entering it tells more


def _mount_above(path: str) -> str:
    """The mount point that `path` lies on."""
    best = "/"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            place = line.split(" ")[4].replace("\\040", " ")
            if (path + "/").startswith(place.rstrip("/") + "/") and len(place) >= len(best):
                best = place
    return best
