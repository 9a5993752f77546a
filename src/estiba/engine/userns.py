"""`--userns`, `--uidmap` and `--gidmap` in Podman's words → what is kept of them with a container. Pure."""

from __future__ import annotations

from itertools import pairwise

from estiba.engine.quantities import is_number
from estiba.errors import InvalidInput
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

Row = tuple[int, int, int]
"""The first id inside, the first on the host, and how many."""

EVERY_ID = (1 << 32) - 1
_LARGEST = 1 << 24
_MOST_ROWS = 340
_FORMS = "host, auto[:size=N,uidmapping=C:H:N,gidmapping=C:H:N], keep-id, container:NAME or ns:PATH"


class Users(NamedTuple):
    """Which ids a container has.

    `kind` is "" (as the installation says), ``host``, ``auto`` (a free range of `size`, 0: 65536; `uids` and `gids` are
    what of it is fixed), ``maps`` (`uids` and `gids` alone), ``container`` (of the one named `target`) or ``ns`` (of
    the namespace at the path `target`).
    """

    kind: str = ""
    size: int = 0
    uids: tuple[Row, ...] = ()
    gids: tuple[Row, ...] = ()
    target: str = ""


def parse_users(text: str) -> Users:
    """The value of `--userns`.

    Raises:
        InvalidInput: it is none.
    """
    kind, _, rest = text.partition(":")
    if kind == "auto":
        return _parse_auto(text, rest)
    if kind in ("container", "ns") and rest:
        if kind == "ns" and not rest.startswith("/"):
            raise _invalid(text, "the path of a namespace is absolute")
        return Users(kind, target=rest)
    if rest:
        raise _invalid(text, f"{kind} takes no options here")
    if kind == "host":
        return Users("host")
    if kind in ("keep-id", "private"):
        # For root these are its own ids again, in a namespace where they have no power over the machine.
        rows = ((0, 0, EVERY_ID),)
        return Users("maps", uids=rows, gids=rows)
    if kind == "nomap":
        raise _invalid(text, "nomap is for an ordinary user's containers, whose own id it would leave out")
    raise _invalid(text, "there is no such choice")


def ids_of_steps(text: str) -> int:
    """How many ids of its own a RUN of a build has by the value of `--userns`; 0 are the host's.

    Raises:
        InvalidInput: it is none, or none for a build.
    """
    users = parse_users(text)
    if users.kind == "auto" and not users.uids and not users.gids:
        return users.size or 65536
    if users.kind == "host":
        return 0
    raise InvalidInput(
        f"a build takes no --userns {text!r}", remedy="Give auto, auto:size=N or host: estiba build --userns=auto"
    )


def parse_maps(uid_maps: Iterable[str], gid_maps: Iterable[str]) -> Users:
    """The values of `--uidmap` and `--gidmap`, each ``INSIDE:HOST[:HOW MANY]``; one alone counts for both.

    Raises:
        InvalidInput: they are none, overlap, or leave root out.
    """
    uids = tuple(_row(text, "--uidmap") for text in uid_maps)
    gids = tuple(_row(text, "--gidmap") for text in gid_maps)
    users = Users("maps", uids=checked(uids or gids, "--uidmap"), gids=checked(gids or uids, "--gidmap"))
    for what, rows in (("--uidmap", users.uids), ("--gidmap", users.gids)):
        if not any(first == 0 for first, _, _ in rows):
            raise InvalidInput(f"{what} gives 0 no id on the host, and a container needs its root", remedy="Map 0 too.")
    return users


def checked(rows: tuple[Row, ...], what: str) -> tuple[Row, ...]:
    """Give back `rows`.

    Raises:
        InvalidInput: two of them have an id in common, or there are more than the kernel takes.
    """
    for side in (0, 1):
        ordered = sorted(rows, key=lambda row: row[side])
        for one, other in pairwise(ordered):
            if one[side] + one[2] > other[side]:
                place = "inside" if side == 0 else "on the host"
                raise InvalidInput(f"{what} has the id {other[side]} {place} twice", remedy="Give each id once.")
    if len(rows) > _MOST_ROWS:
        raise InvalidInput(f"{what} is given {len(rows)} times, and the kernel takes {_MOST_ROWS}")
    return rows


def _parse_auto(text: str, rest: str) -> Users:
    size = 0
    rows: dict[str, list[Row]] = {"uidmapping": [], "gidmapping": []}
    for option in rest.split(",") if rest else ():
        name, _, value = option.partition("=")
        if name == "size" and is_number(value) and 0 < int(value) <= _LARGEST:
            size = int(value)
        elif name in rows:
            rows[name].append(_row(value, name))
        else:
            raise _invalid(text, f"{option!r} is no option of auto")
    uids, gids = checked(tuple(rows["uidmapping"]), "uidmapping"), checked(tuple(rows["gidmapping"]), "gidmapping")
    return Users("auto", size=size, uids=uids, gids=gids)


def _row(text: str, what: str) -> Row:
    fields = text.split(":")
    if len(fields) not in (2, 3) or not all(is_number(field) for field in fields):
        raise InvalidInput(f"invalid {what} {text!r}", remedy="Write INSIDE:HOST:HOW MANY, three numbers.")
    first, host, size = int(fields[0]), int(fields[1]), int(fields[2]) if len(fields) == 3 else 1
    if size < 1 or first + size > EVERY_ID or host + size > EVERY_ID:
        raise InvalidInput(f"invalid {what} {text!r}: ids go from 0 to {EVERY_ID - 1}, and one at least is mapped")
    return first, host, size


def _invalid(text: str, why: str) -> InvalidInput:
    return InvalidInput(f"invalid --userns {text!r}: {why}", remedy=f"Write {_FORMS}.")
