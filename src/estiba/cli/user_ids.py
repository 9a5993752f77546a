"""The flags of `run` and `create` that say which ids a container has, in Podman's words."""

from __future__ import annotations

import os

from estiba.engine.userns import Users, parse_maps, parse_users
from estiba.errors import InvalidInput, NotFound
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def users_of(arguments: argparse.Namespace) -> Users:
    """What the flags ask for.

    Raises:
        InvalidInput: they contradict each other, or take root. NotFound: there are no ids of that name.
    """
    names = arguments.subuidname or arguments.subgidname
    has_maps = bool(arguments.uidmap or arguments.gidmap)
    if sum((bool(arguments.userns), has_maps, bool(names))) > 1:
        raise InvalidInput(
            "--userns, --uidmap with --gidmap, and --subuidname with --subgidname exclude each other",
            remedy="Give one of them.",
        )
    if has_maps:
        users = parse_maps(arguments.uidmap, arguments.gidmap)
    elif names:
        users = _of_names(arguments.subuidname or names, arguments.subgidname or names)
    else:
        users = parse_users(arguments.userns)
    if users.kind != "host" and os.geteuid() != 0:
        raise InvalidInput(
            f"--userns={users.kind} takes root: it shows files with other owners",
            remedy="Leave it out: the container's root is this user anyway.",
        )
    return users


def _of_names(user: str, group: str) -> Users:
    from estiba.linux import subordinate_ids

    uids, gids = subordinate_ids.ranges("/etc/subuid", user), subordinate_ids.ranges("/etc/subgid", group)
    for rows, name, path in ((uids, user, "/etc/subuid"), (gids, group, "/etc/subgid")):
        if not rows:
            raise NotFound(f"{path} has no ids for {name}", remedy=f"Add a line to {path}: {name}:FIRST:HOW MANY")
    return Users("maps", uids=uids, gids=gids)
