"""What single options of a container may be, however they were written: on a command line or in Docker's API. Pure."""

from __future__ import annotations

import posixpath

from estiba.engine.options import Device
from estiba.engine.quantities import is_number, parse_size
from estiba.errors import InvalidInput, NotThereYet
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from estiba.engine.options import Membership

_LONGEST_NAME = 64  # of a host, for the kernel
_HEX = frozenset("0123456789abcdef")
_NETWORKS_OF_ALL = ("bridge", "host", "none")


def device(host: str, container: str, access: str) -> Device:
    """A device with plain paths; `container` "" is where it is on the host, `access` "" is all.

    Raises:
        InvalidInput: a path that leads astray, or an access that is none.
    """
    container, access = container or host, access or "rwm"
    for path in (host, container):
        if not path.startswith("/") or ".." in path.split("/") or "\0" in path:
            raise InvalidInput(
                f"invalid device {host!r}: {path!r} is no plain absolute path", remedy="Write such as /dev/fuse."
            )
    if not is_access(access):
        raise InvalidInput(
            f"invalid device {host!r}: the access {access!r} is not of r, w and m",
            remedy="Write HOST[:CONTAINER[:ACCESS]], such as /dev/fuse:/dev/fuse:rw.",
        )
    found = Device(_plain(host), _plain(container), access)
    if found.container == "/" or (found.container + "/").startswith(("/proc/", "/sys/")):
        raise InvalidInput(
            f"invalid device {host!r}: there can be none at {found.container} in a container",
            remedy="Choose a place below /dev.",
        )
    return found


def is_access(text: str) -> bool:
    """Whether it is of the letters r, w and m, each at most once."""
    return bool(text) and len(set(text)) == len(text) and not set(text) - set("rwm")


def _plain(path: str) -> str:
    return "/" + posixpath.normpath(path).lstrip("/")


def mode(what: str, text: str, words: tuple[str, ...], *, joins: bool = False) -> str:
    """A namespace that is shared: one of the `words`, and where it `joins` ``container:NAME``; "" is none.

    Raises:
        InvalidInput: it is none of these.
    """
    kind, colon, name = text.partition(":")
    if not text or (not colon and kind in words) or (joins and kind == "container" and name):
        return text
    known = (*words, *(("container:NAME",) if joins else ()))
    raise InvalidInput(f"invalid {what} {text!r}", remedy=f"Choose {' or '.join(known)}.")


def check_own_name(*, shares_name: bool, name: str, domain: str) -> None:
    """Raise InvalidInput where a container that has the host's name would be given another."""
    if shares_name and (name or domain):
        raise InvalidInput(
            "--uts host contradicts --hostname and --domainname: they would change the host's",
            remedy="Leave one of them out.",
        )


def storage(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """``--storage-opt``. Raises InvalidInput: a size that is none. NotThereYet: another option."""
    found = tuple(pairs)
    for name, value in found:
        if name != "size":
            raise NotThereYet(f"the storage option {name} is not there yet", remedy="There is size=SIZE.")
        if parse_size(value, what="size of --storage-opt") < 1 << 20:
            raise InvalidInput(f"--storage-opt size={value} is too small", remedy="Give at least 1m.")
    return found


def volumes_from(texts: Iterable[str]) -> tuple[str, ...]:
    """``CONTAINER[:MODE]`` each. Raises InvalidInput: another form."""
    found = tuple(texts)
    for text in found:
        name, colon, how = text.partition(":")
        if not name or (colon and how not in ("ro", "rw", "z", "Z")):
            raise InvalidInput(f"invalid --volumes-from {text!r}", remedy="Write CONTAINER[:ro|rw].")
    return found


def link(name: str, alias: str) -> tuple[str, str]:
    """A container and its alias. Raises InvalidInput: one of them is none."""
    name, alias = name.removeprefix("/"), alias.removeprefix("/")
    if not name or not alias or any(c.isspace() or c in ":/" for c in alias):
        raise InvalidInput(f"invalid --link {f'{name}:{alias}'!r}", remedy="Write CONTAINER[:ALIAS].")
    return name, alias


def exposed(texts: Iterable[str]) -> tuple[str, ...]:
    """Ports that a container serves; as in Docker, a range becomes its ports. Raises InvalidInput: no port."""
    found: list[str] = []
    for text in texts:
        ports, slash, protocol = text.partition("/")
        first, dash, last = ports.partition("-")
        last = last if dash else first
        is_range = is_number(first) and is_number(last)
        if not is_range or not 0 < int(first) <= int(last) < 65536 or (protocol or "tcp") not in ("tcp", "udp", "sctp"):
            raise InvalidInput(f"invalid --expose {text!r}", remedy="Write a port such as 80, 53/udp or 8000-8010.")
        found += [f"{number}/{protocol}" if slash else str(number) for number in range(int(first), int(last) + 1)]
    return tuple(found)


def hostname(text: str, *, what: str = "host name") -> str:
    """Raises InvalidInput: the kernel would not take it."""
    if len(text.encode("utf-8", "surrogateescape")) > _LONGEST_NAME:
        raise InvalidInput(
            f"the {what} {text[:80]!r} is too long for the kernel", remedy=f"Give at most {_LONGEST_NAME} characters."
        )
    return text


def address(text: str, *, what: str = "name server", kinds: tuple[int, ...] = (4, 6)) -> str:
    """An IP address. Raises InvalidInput: it is none of these `kinds`."""
    import _socket

    for kind, family in ((4, _socket.AF_INET), (6, _socket.AF_INET6)):
        try:
            _socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        if kind in kinds:
            return text
    raise InvalidInput(f"invalid {what} {text!r}: it is not an IP address", remedy="Write such as 192.0.2.53.")


def host_line(entry: str) -> tuple[str, str]:
    """``NAME:ADDRESS`` or ``NAME=ADDRESS``: a line of /etc/hosts. Raises InvalidInput: another form."""
    name, _, where = entry.partition("=" if "=" in entry else ":")
    if not name or not where:
        raise InvalidInput(f"invalid host {entry!r}", remedy="Write NAME:ADDRESS.")
    where = where.strip("[]")
    return name, where if where == "host-gateway" else address(where, what=f"address of {name}")


def mac_address(text: str) -> str:
    """ "" or the address of one network card. Raises InvalidInput."""
    parts = text.lower().split(":")
    is_address = len(parts) == 6 and all(len(part) == 2 and not set(part) - _HEX for part in parts)
    if text and (not is_address or int(parts[0], 16) & 1):
        raise InvalidInput(f"invalid MAC address {text!r}", remedy="Write such as 02:42:ac:11:00:02.")
    return text.lower()


def working_directory(text: str) -> str:
    """ "" or an absolute path. Raises InvalidInput."""
    if text and not text.startswith("/"):
        raise InvalidInput(f"the working directory {text!r} is not an absolute path", remedy="Begin it with /.")
    return text


def membership(one: Membership) -> Membership:
    """One network that the container is to be in.

    Raises:
        InvalidInput: no such address, or one that is chosen in a network that gives none to choose.
    """
    if one.address:
        _check_own_network(one.network, f"--ip {one.address}", "addresses are not chosen")
        address(one.address, what="address", kinds=(4,))
    for alias in one.aliases:
        _check_own_network(one.network, f"--network-alias {alias}", "containers do not find each other by name")
        hostname(alias, what="alias")
    mac_address(one.mac_address)
    return one


def memberships(found: list[Membership]) -> list[Membership]:
    """All networks that the container is to be in, the first one first.

    Raises:
        InvalidInput: one of them twice, or one that leaves no room for others.
    """
    names = [one.network for one in found]
    for name in names:
        if len(names) > 1 and (name in ("none", "host") or ":" in name):
            raise InvalidInput(f"a container in the network {name} is in no other", remedy="Give one --network.")
        if names.count(name) > 1:
            raise InvalidInput(f"the network {name} is given twice", remedy="Give each network once.")
    return found


def _check_own_network(network: str, flag: str, lack: str) -> None:
    if network in _NETWORKS_OF_ALL or ":" in network:
        raise InvalidInput(
            f"{flag} needs a network of one's own: in {network} {lack}",
            remedy="Make one: estiba network create --subnet 10.200.0.0/24 NAME",
        )
