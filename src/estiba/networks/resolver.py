"""The text of a container's /etc/resolv.conf and /etc/hosts (resolv.conf(5), hosts(5)); pure."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


# Docker's choice too, for a host whose own name servers a container cannot reach.
PUBLIC_SERVERS = ("8.8.8.8", "8.8.4.4")
NAME_SERVER = "127.0.0.11"
"""Where ours is, for a container: as with Docker, for programs and documentation know it."""


def resolv_conf(
    host_text: str,
    *,
    upstream_text: str = "",
    servers: Sequence[str] = (),
    search: Sequence[str] = (),
    options: Sequence[str] = (),
    asks_at_once: bool = False,
) -> str:
    """A container's resolv.conf from the host's.

    Name servers on the host's loopback are dropped, for in the container that address is the container itself, and so
    are IPv6 ones, for its network is IPv4. If none is left, those of `upstream_text` count (the file where
    systemd-resolved keeps the real ones, /run/systemd/resolve/resolv.conf), and after that public ones; a comment in
    the result says so. `servers`, `search` and `options` of the user replace the host's where they are given.
    `asks_at_once`: names without a dot are asked for as they are before a domain is added to them.
    """
    found, comment = list(servers), ""
    if not found:
        found = _reachable(_values(host_text, "nameserver"))
    if not found:
        found = _reachable(_values(upstream_text, "nameserver"))
    if not found:
        found = list(PUBLIC_SERVERS)
        comment = "# The host's name servers cannot be reached from here: these are public ones (--dns sets others).\n"
    domains = list(search) or _words(host_text, ("search", "domain"))
    settings = list(options) or _words(host_text, ("options",))
    if asks_at_once and not any(setting.startswith("ndots:") for setting in settings):
        settings.append("ndots:0")
    lines = [f"nameserver {server}\n" for server in found]
    if domains and domains != ["."]:
        lines.append(f"search {' '.join(domains)}\n")
    if settings:
        lines.append(f"options {' '.join(settings)}\n")
    return comment + "".join(lines)


def hosts(*, hostname: str, address: str = "", names: Sequence[tuple[str, str]] = ()) -> str:
    """A container's hosts file: the loopback names, itself at `address`, then `names` as pairs (name, address).

    Without an address (no network) the container's own name leads to 127.0.1.1, as Debian does it.
    """
    lines = ["127.0.0.1\tlocalhost\n", "::1\tlocalhost ip6-localhost ip6-loopback\n"]
    lines += [f"{other_address}\t{name}\n" for name, other_address in names]
    if hostname:
        short = hostname.partition(".")[0]
        own = hostname if short == hostname else f"{hostname} {short}"
        lines.append(f"{address or '127.0.1.1'}\t{own}\n")
    return "".join(lines)


def name_servers(text: str) -> tuple[str, ...]:
    """The servers that a resolv.conf names."""
    return tuple(_values(text, "nameserver"))


def _lines(text: str) -> list[list[str]]:
    words = (line.split() for line in text.splitlines() if not line.lstrip().startswith(("#", ";")))
    return [line for line in words if len(line) > 1]


def _values(text: str, keyword: str) -> list[str]:
    return [line[1] for line in _lines(text) if line[0] == keyword]


def _words(text: str, keywords: Sequence[str]) -> list[str]:
    """The words of the last line with one of `keywords`, which is the one that counts."""
    matching = [line[1:] for line in _lines(text) if line[0] in keywords]
    return matching[-1] if matching else []


def _reachable(servers: list[str]) -> list[str]:
    return [server for server in servers if ":" not in server and not server.startswith(("127.", "0."))]
