"""Which interfaces of the host may pass packets on: only those that containers need.

Docker and podman set net.ipv4.ip_forward, which makes a router of every interface of the host, and of those to come.
The kernel asks the interface on which a packet *arrives* (`conf/IF/forwarding`), so it is enough to allow it on the
bridge and on the interfaces through which the host is reached. Where ip_forward is on already, nothing is changed.

What was changed is noted in the ledger and not taken back: another installation may rely on it by then.
"""

from __future__ import annotations

from estiba.errors import PermissionDenied
from estiba.linux import links, sysctl
from estiba.linux.netlink import NetlinkSocket
from estiba.networks.ledger import Ledger

_GLOBAL = "net/ipv4/ip_forward"
DEFAULT_MTU = 1500


def uplinks(netlink: NetlinkSocket, *, own: frozenset[str]) -> tuple[str, ...]:
    """The interfaces through which the host is reached: those with a route, without the loopback and `own` bridges."""
    numbers = {route.link for route in links.routes(netlink)} - {0, links.LOOPBACK_INDEX}
    names = {name for number in numbers if (name := links.name_of(number)) is not None}
    return tuple(sorted(names - own))


def packet_size(netlink: NetlinkSocket) -> int:
    """The largest packet of the interface with the default route: no packet of a container is to be larger."""
    numbers = {route.link for route in links.routes(netlink) if route.prefix == 0}
    sizes = [link.mtu for link in links.links(netlink) if link.number in numbers]
    return min(sizes, default=DEFAULT_MTU)


def is_global() -> bool:
    """Whether every interface of the host passes packets on already."""
    return sysctl.read(_GLOBAL) == "1"


def allow(ledger: Ledger, interfaces: tuple[str, ...]) -> None:
    """Let the host pass on what arrives on `interfaces`.

    Raises:
        PermissionDenied: /proc/sys may not be written.
    """
    if is_global():
        return
    for interface in interfaces:
        change(ledger, f"net/ipv4/conf/{interface}/forwarding", "1")


def change(ledger: Ledger, name: str, value: str) -> None:
    """Set one setting and note what it was; nothing happens where it has that value.

    Raises:
        PermissionDenied: /proc/sys may not be written.
    """
    try:
        before = sysctl.read(name)
        if before == value:
            return
        sysctl.write(name, value)
    except FileNotFoundError:  # the interface went away meanwhile, or the kernel has no IPv6
        return
    except OSError as error:
        raise PermissionDenied(
            f"/proc/sys/{name} must be {value} for container networks and cannot be changed: {error.strerror}",
            remedy="Run as root where /proc/sys is writable, set it by hand, or use --network host or none.",
        ) from None
    ledger.note_setting(name, before, value)
