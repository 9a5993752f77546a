"""The ids that an ordinary user may give to others: ranges in /etc/subuid and /etc/subgid (subuid(5))."""

from __future__ import annotations

import os

from estiba.values import NamedTuple

_USERS = "/etc/subuid"
_GROUPS = "/etc/subgid"
_HELPER_DIRECTORIES = ("/usr/bin", "/bin", "/usr/local/bin")

Row = tuple[int, int, int]
"""The first id inside, the first id outside, and how many."""


class IdMaps(NamedTuple):
    """The maps of a user namespace whose root is the user, and the helpers (newuidmap(1)) that may write them."""

    users: tuple[Row, ...]
    groups: tuple[Row, ...]
    newuidmap: str
    newgidmap: str

    @property
    def number(self) -> int:
        """How many users there are inside."""
        return sum(size for _, _, size in self.users)


def find(user_id: int, group_id: int) -> IdMaps | None:
    """What the user may map; None where there are no ranges for both users and groups, or a helper is missing."""
    newuidmap, newgidmap = find_helper("newuidmap"), find_helper("newgidmap")
    if not newuidmap or not newgidmap:
        return None
    names = _names(user_id)
    users, groups = rows(_text(_USERS), names, user_id), rows(_text(_GROUPS), names, group_id)
    if len(users) < 2 or len(groups) < 2:
        return None
    return IdMaps(users, groups, newuidmap, newgidmap)


def find_helper(name: str) -> str:
    """The path of a set-id helper; "" where it is not installed. Never a directory that the caller's PATH names."""
    for directory in _HELPER_DIRECTORIES:
        path = f"{directory}/{name}"
        if os.access(path, os.X_OK):
            return path
    return ""


def rows(text: str, names: frozenset[str], own: int) -> tuple[Row, ...]:
    """The own id as 0, then every range of `names` in `text`, one behind the other."""
    rows: list[Row] = [(0, own, 1)]
    following = 1
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) != 3 or fields[0] not in names or not (fields[1].isdigit() and fields[2].isdigit()):
            continue
        start, size = int(fields[1]), int(fields[2])
        if start > 0 and size > 0 and not start <= own < start + size:
            rows.append((following, start, size))
            following += size
    return tuple(rows)


def ranges(path: str, name: str) -> tuple[Row, ...]:
    """Every range of `name` in the file `path`, one behind the other from 0 on."""
    return tuple((first - 1, start, size) for first, start, size in rows(_text(path), frozenset((name,)), -1)[1:])


def _names(user_id: int) -> frozenset[str]:
    """How the files may call the user: by name or by number."""
    import pwd

    try:
        return frozenset((pwd.getpwuid(user_id).pw_name, str(user_id)))
    except KeyError:
        return frozenset((str(user_id),))


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
