"""Users and groups by name, as the step's own filesystem knows them."""

from __future__ import annotations

import os
import stat

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
    """The ids of ``--chown=text``: a number alone is the group too, a name brings its own group; "" is 0:0.

    Raises:
        as `user_in`.
    """
    if not text:
        return 0, 0
    if text.isascii() and text.isdigit():
        number = resolve_user(text, passwd="", group="").uid
        return number, number
    user = user_in(root, text)
    return user.uid, user.gid


def _read(root: str, path: str) -> str:
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = open_in_root(directory, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return ""
    finally:
        os.close(directory)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return os.read(descriptor, _LIMIT).decode("utf-8", "replace")
    finally:
        os.close(descriptor)
