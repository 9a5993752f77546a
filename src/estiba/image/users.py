"""Users: what ``USER`` and ``--user`` mean in an image. Pure: the texts of its files come in, numbers go out.

The rules are those that Docker and runc share: a name wins over a number, a number needs no entry, and a group given
explicitly takes the place of the user's own groups.
"""

from __future__ import annotations

from estiba.errors import InvalidInput, NotFound
from estiba.values import NamedTuple

_LARGEST = 2**31 - 1


class UnknownUser(NotFound):
    def __init__(self, kind: str, name: str, file: str) -> None:
        super().__init__(
            f"{kind} {name!r} is not in {file} of the image",
            remedy=f"Create the {kind} in the Dockerfile (RUN {kind}add {name}), or give its number.",
        )


class UserIds(NamedTuple):
    """`additional_gids` are the supplementary groups: `gid`, so that no program loses it with its effective one
    (CVE-2022-36109), then the others in the order of the file. `name` is "" where no entry matches."""

    uid: int
    gid: int
    additional_gids: tuple[int, ...]
    home: str
    name: str = ""


class _User(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


class _Group(NamedTuple):
    name: str
    gid: int
    members: tuple[str, ...]


def resolve_user(text: str, *, passwd: str, group: str) -> UserIds:
    """The numbers of ``name``, ``uid``, ``name:group`` or ``uid:gid``; "" is user 0.

    `passwd` and `group` are the texts of /etc/passwd and /etc/group, "" where the image has none.

    Raises:
        UnknownUser: a name that is in none of them. InvalidInput: a number beyond 2^31-1, or an empty part.
    """
    wanted, colon, wanted_group = text.partition(":")
    if colon and not wanted_group:
        raise InvalidInput(f"invalid user {text!r}: no group after the colon", remedy="Write USER or USER:GROUP.")
    user = _find_user(wanted or "0", _users(passwd))
    groups = _groups(group)
    if wanted_group:
        gid = _find_group(wanted_group, groups)
        return UserIds(user.uid, gid, (gid,), user.home, user.name)
    own = (entry.gid for entry in groups if user.name and user.name in entry.members)
    return UserIds(user.uid, user.gid, tuple(dict.fromkeys((user.gid, *own))), user.home, user.name)


def _find_user(wanted: str, users: list[_User]) -> _User:
    for by_name in (True, False):
        for user in users:
            if (user.name if by_name else str(user.uid)) == wanted:
                return user._replace(home=user.home or "/")
    return _User("", _number(wanted, "user", "/etc/passwd"), 0, "/")


def _find_group(wanted: str, groups: list[_Group]) -> int:
    for group in groups:
        if group.name == wanted:
            return group.gid
    return _number(wanted, "group", "/etc/group")


def _number(text: str, kind: str, file: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise UnknownUser(kind, text, file)
    number = int(text[:20])
    if number > _LARGEST:
        raise InvalidInput(f"invalid {kind} {text!r}: the largest number is {_LARGEST}")
    return number


def _users(text: str) -> list[_User]:
    found = []
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) >= 4 and _is_number(fields[2]) and _is_number(fields[3]):
            found.append(_User(fields[0], int(fields[2]), int(fields[3]), fields[5] if len(fields) > 5 else ""))
    return found


def _groups(text: str) -> list[_Group]:
    found = []
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) >= 3 and _is_number(fields[2]):
            members = tuple(name for name in fields[3].split(",") if name) if len(fields) > 3 else ()
            found.append(_Group(fields[0], int(fields[2]), members))
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 11 and int(text) <= _LARGEST
