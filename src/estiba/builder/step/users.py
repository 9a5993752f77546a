"""Users and groups by name, as the step's own filesystem knows them."""

from __future__ import annotations

import os

from estiba.image.users import UserIds, resolve_user
from estiba.linux.paths import open_in_root

_LIMIT = 1 << 20


def user_in(root: str, text: str) -> UserIds:
    """The ids of ``USER text`` by /etc/passwd and /etc/group below `root`.

    Raises:
        UnknownUser: a name that is not there. InvalidInput: a malformed one.
    """
    return resolve_user(text, passwd=_read(root, "etc/passwd"), group=_read(root, "etc/group"))


def owner_in(root: str, text: str) -> tuple[int, int]:
    """The ids of ``--chown=text``: a user without a group has the group of the same id or its own; "" is 0:0."""
    if not text:
        return 0, 0
    if text.isdigit():
        return int(text), int(text)
    user = user_in(root, text)
    return user.uid, user.gid


def _read(root: str, path: str) -> str:
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = open_in_root(directory, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return ""
    finally:
        os.close(directory)
    try:
        return os.read(descriptor, _LIMIT).decode("utf-8", "replace")
    finally:
        os.close(descriptor)
