"""The option `idmap` of a volume or a bind mount, in Podman's words: other owners than on disk. Pure.

``idmap`` alone: what is 0 on disk is the container's root, and so on. ``idmap=uids=0-1000-1#5-7-2;gids=0-1000-1``: ids
of the disk (first), those that are seen in their place, and how many; with ``@`` before it the latter are the
container's, else the host's.
"""

from __future__ import annotations

from estiba.errors import InvalidInput
from estiba.runtime.spec import IdMapping
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "idmap"
_ROW = r"(@?)([0-9]{1,10})-([0-9]{1,10})-([0-9]{1,10})"
_REMEDY = "Write idmap, or such as idmap=uids=0-1000-1;gids=0-1000-1."


def is_idmap(option: str) -> bool:
    return option.partition("=")[0] == NAME


def checked(option: str, text: str) -> str:
    """Give back the option.

    Raises:
        InvalidInput: its map is none.
    """
    if option != NAME:
        for rows in _parsed(option, text):
            for is_inside, on_disk, seen, size in rows:
                if not size or on_disk + size >= 1 << 32 or (not is_inside and seen + size >= 1 << 32):
                    raise InvalidInput(f"invalid option {option!r} in {text!r}: no such ids", remedy=_REMEDY)
    return option


def mappings(
    option: str, users: Sequence[IdMapping], groups: Sequence[IdMapping]
) -> tuple[tuple[IdMapping, ...], tuple[IdMapping, ...]]:
    """The maps (ids on disk, the host's ids that are seen) of an option that has some; `users` and `groups` are the
    container's.

    Raises:
        InvalidInput: the container has no such ids.
    """
    uids, gids = _parsed(option, option)
    return _mappings(uids, users, option), _mappings(gids, groups, option)


def _parsed(option: str, text: str) -> tuple[list[tuple[bool, int, int, int]], list[tuple[bool, int, int, int]]]:
    import re  # here, for most commands need none

    found: dict[str, list[tuple[bool, int, int, int]]] = {"uids": [], "gids": []}
    for part in option.partition("=")[2].split(";"):
        name, _, rows = part.partition("=")
        for row in rows.split("#"):
            match = re.fullmatch(_ROW, row)
            if match is None or name not in found:
                raise InvalidInput(f"invalid option {option!r} in {text!r}", remedy=_REMEDY)
            found[name].append((bool(match[1]), int(match[2]), int(match[3]), int(match[4])))
    if not found["uids"] or not found["gids"]:
        raise InvalidInput(f"invalid option {option!r} in {text!r}: it takes uids and gids", remedy=_REMEDY)
    return found["uids"], found["gids"]


def _mappings(
    rows: Sequence[tuple[bool, int, int, int]], own: Sequence[IdMapping], option: str
) -> tuple[IdMapping, ...]:
    found: list[IdMapping] = []
    for is_inside, on_disk, seen, size in rows:
        if not is_inside:
            found.append(IdMapping(on_disk, seen, size))
            continue
        covered = 0
        for mapping in own or (IdMapping(0, 0, (1 << 32) - 1),):
            first = max(seen, mapping.container)
            last = min(seen + size, mapping.container + mapping.size)
            if first < last:
                found.append(IdMapping(on_disk + first - seen, mapping.host + first - mapping.container, last - first))
                covered += last - first
        if covered < size:
            raise InvalidInput(f"the option {option!r} names ids that the container does not have")
    return tuple(found)
