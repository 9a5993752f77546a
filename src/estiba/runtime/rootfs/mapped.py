"""Bind mounts with other owners than the disk has (config.md, "Mounts": uidMappings, gidMappings, `idmap`, `ridmap`).

They are made on the host's side, before the first fork: only who may administer the filesystem may map its ids.
"""

from __future__ import annotations

import os

from estiba.linux import idmapped
from estiba.linux import mountpoints as mp
from estiba.linux.namespaces import CLONE_NEWUSER
from estiba.runtime.errors import BadBundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

OPTIONS = ("idmap", "ridmap")


def is_mapped(mount: Mapping[str, Any]) -> bool:
    """Whether an entry of `mounts` asks for mapped ids."""
    return bool(mount.get("uidMappings") or any(option in OPTIONS for option in mount.get("options") or ()))


def clone_all(config: Mapping[str, Any], bundle: str, joins: Sequence[tuple[int, int]]) -> dict[int, int]:
    """A detached mount for each of the mounts with mapped ids, by position. `joins`: the namespaces to be joined.

    Raises:
        BadBundle: there is no map, or it is no bind mount. Unavailable: the filesystem or the user cannot do it.
    """
    found: dict[int, int] = {}
    # The root of another user namespace may not walk through the host's directories.
    has_users = os.geteuid() == 0 and any(flag == CLONE_NEWUSER for flag, _ in joins)
    try:
        for position, mount in enumerate(config.get("mounts") or ()):
            if is_mapped(mount):
                found[position] = _clone(mount, config, bundle, joins)
            elif has_users and {"bind", "rbind"} & {mount.get("type"), *(mount.get("options") or ())}:
                found[position] = _plain_clone(mount, bundle)
    except BaseException:
        for descriptor in found.values():
            os.close(descriptor)
        raise
    return found


def _clone(mount: Mapping[str, Any], config: Mapping[str, Any], bundle: str, joins: Sequence[tuple[int, int]]) -> int:
    destination, options = mount["destination"], mount.get("options") or ()
    source = os.path.join(bundle, mount.get("source") or "")
    if not {"bind", "rbind"} & {mount.get("type"), *options}:
        raise BadBundle(f"only a bind mount can have mapped ids, and that on {destination} is none")
    tree = _plain_clone(mount, bundle)
    try:
        namespace, is_new = _namespace(mount, config, joins)
        try:
            what = f"map the ids of {source} on {destination}"
            idmapped.map_ids(tree, namespace, recursive="ridmap" in options, what=what)
        finally:
            if is_new:
                os.close(namespace)
    except BaseException:
        os.close(tree)
        raise
    return tree


def _plain_clone(mount: Mapping[str, Any], bundle: str) -> int:
    options = mount.get("options") or ()
    source = os.path.join(bundle, mount.get("source") or "")
    try:
        return mp.clone_tree(source, recursive=mount.get("type") == "rbind" or "rbind" in options)
    except OSError as error:
        raise BadBundle(f"the source of the mount on {mount['destination']}: {error.strerror}") from None


def _namespace(
    mount: Mapping[str, Any], config: Mapping[str, Any], joins: Sequence[tuple[int, int]]
) -> tuple[int, bool]:
    """The user namespace whose map it is, and whether it was made for this."""
    linux = config.get("linux") or {}
    owner = mount if mount.get("uidMappings") else linux
    if owner is linux:
        for flag, descriptor in joins:
            if flag == CLONE_NEWUSER:
                return descriptor, False
    users, groups = owner.get("uidMappings") or (), owner.get("gidMappings") or ()
    if not users or not groups:
        raise BadBundle(
            f"the mount on {mount['destination']} is to have mapped ids, and there is no map",
            remedy="Give it uidMappings and gidMappings, or the container a user namespace.",
        )
    try:
        return idmapped.open_user_namespace(_rows(users), _rows(groups)), True
    except OSError as error:
        raise BadBundle(f"the mount on {mount['destination']}: {error.strerror}") from None


def _rows(mappings: Sequence[Mapping[str, int]]) -> list[tuple[int, int, int]]:
    return [(m["containerID"], m["hostID"], m["size"]) for m in mappings]
