"""What a container gets in a network, noted so that no other process gives the same; and how it is given back."""

from __future__ import annotations

import os
from collections.abc import Sequence

from estiba.errors import Conflict, InvalidInput
from estiba.linux import conntrack, links, nftables
from estiba.linux.netlink import NETLINK_ROUTE, NetlinkSocket
from estiba.linux.processes import start_time
from estiba.networks import bridges, firewall, forwarding, ipam, naming
from estiba.networks.addresses import Subnet, address_bytes, address_number, address_text
from estiba.networks.ledger import BridgeRow, EndpointRow, Ledger, PortRow
from estiba.networks.ports import PROTOCOL_NUMBERS, PortMapping
from estiba.networks.reservations import Reservation, reserve
from estiba.values import NamedTuple


class Request(NamedTuple):
    """What a container asks for: `mac` "" lets it follow from the address, and `address` "" takes any free one."""

    key: str
    network: str
    ports: tuple[PortMapping, ...]
    hostname: str
    mac: str
    aliases: tuple[str, ...] = ()
    address: str = ""


class Allotment(NamedTuple):
    """What it gets. The ports are bound by this process; `default_route` says whether it leads out of this network."""

    row: EndpointRow
    held: tuple[Reservation, ...]
    default_route: bool

    @property
    def published(self) -> list[firewall.Published]:
        address = address_text(self.row.address)
        return [firewall.Published(reservation.mapping, address) for reservation in self.held]


def allot(ledger: Ledger, run: str, request: Request) -> Allotment:
    """Choose address, interface and ports. Within a transaction of `ledger`; a failure leaves no port bound.

    Raises:
        Conflict: a port is taken, the container is in that network already, or the network has just been removed.
        InvalidInput: a MAC or host address that cannot be.
        NoAddressLeft, PermissionDenied, OSError.
    """
    table = naming.table_of(run)
    bridge = ledger.bridge(request.network)
    if bridge is None:
        raise Conflict(f"the network {request.network!r} was removed while {request.key} was being attached to it")
    if request.ports or ledger.endpoints(key=request.key):
        forget_dead(ledger, table)
    own = ledger.endpoints(key=request.key)
    if any(row.network == request.network for row in own):
        remedy = "Detach it first."
        raise Conflict(f"{request.key} is in the network {request.network!r} already", remedy=remedy)
    interfaces = {row.interface for row in own}
    address = _chosen(ledger, table, bridge, request) if request.address else _address(ledger, table, bridge)
    row = EndpointRow(
        key=request.key,
        network=request.network,
        address=address,
        mac=check_mac(request.mac) if request.mac else ipam.mac_of(address),
        interface=next(name for name in (f"eth{n}" for n in range(len(own) + 1)) if name not in interfaces),
        link=naming.veth_of(run, request.network, request.key),
        hostname=request.hostname,
        owner=os.getpid(),
        owner_started=start_time(os.getpid()) or 0,
        aliases=" ".join(request.aliases),
    )
    internal = {other.network for other in ledger.bridges() if other.internal}
    default_route = not bridge.internal and all(other.network in internal for other in own)
    others = [(port.published.mapping, f"the container {port.key}") for port in ledger.ports()]
    held: list[Reservation] = []
    try:
        for port in request.ports:
            held.append(reserve(port, others))
        allotment = Allotment(row, tuple(held), default_route)
        ledger.add_endpoint(row)
        ledger.add_ports(PortRow(published, row.key, row.network) for published in allotment.published)
        if not bridge.internal:
            _allow_forwarding(ledger)
    except BaseException:
        release(held)
        raise
    return allotment


def release(reservations: Sequence[Reservation]) -> None:
    for reservation in reservations:
        reservation.close()


def forget(ledger: Ledger, table: str, rows: Sequence[EndpointRow]) -> None:
    """Give back ports and addresses, within a transaction. The links go with `unplug`, for which nobody need wait.

    Raises:
        OSError: the kernel refused.
    """
    keys = {(row.key, row.network) for row in rows}
    ports = [port for port in ledger.ports() if (port.key, port.network) in keys] if keys else []
    nftables.delete_elements(table, [firewall.element(port.published) for port in ports])
    forget_connections([port.published.mapping for port in ports])
    ledger.remove_ports(ports)
    for row in rows:
        ledger.remove_endpoint(row.key, row.network)


def forget_dead(ledger: Ledger, table: str) -> None:
    """Give back what killed processes had; there is nothing to unplug."""
    forget(ledger, table, [row for row in ledger.endpoints() if is_dead(row)])


def unplug(rows: Sequence[EndpointRow]) -> None:
    """Remove the links; the kernel takes 20 ms for each, so this is done outside of a transaction.

    Raises:
        OSError: the kernel refused.
    """
    with NetlinkSocket(NETLINK_ROUTE) as netlink:
        for row in rows:
            bridges.remove_device(netlink, row.link)


def is_dead(row: EndpointRow) -> bool:
    """Whether nothing is left of a container: its link ended with its namespace, and its owner has ended too."""
    return links.index_of(row.link) is None and not owner_lives(row)


def owner_lives(row: EndpointRow) -> bool:
    """Whether the process still runs that attached the container."""
    return start_time(row.owner) == row.owner_started


def forget_connections(ports: Sequence[PortMapping]) -> None:
    """Who keeps sending UDP packets to a port of this host is led anew: to the container that has it from now on."""
    for port in ports:
        if port.protocol == "udp":
            with NetlinkSocket(NETLINK_ROUTE) as netlink:
                own = {address_bytes(address) for _, address in links.addresses(netlink)}
            conntrack.forget(PROTOCOL_NUMBERS["udp"], port.host_port, own)


def check_mac(mac: str) -> str:
    """The MAC address in its usual form.

    Raises:
        InvalidInput: not one, or one of a group.
    """
    parts = mac.lower().split(":")
    if len(parts) != 6 or not all(len(part) == 2 and set(part) <= set("0123456789abcdef") for part in parts):
        raise InvalidInput(f"{mac!r} is not a MAC address", remedy="Write six pairs like 02:42:ac:11:00:02.")
    if int(parts[0], 16) & 1:
        raise InvalidInput(f"the MAC address {mac} is one of a group", remedy="Make the first pair an even number.")
    return ":".join(parts)


def _address(ledger: Ledger, table: str, bridge: BridgeRow) -> int:
    subnet = Subnet.parse(bridge.subnet)
    try:
        return ipam.choose_address(subnet, _taken(ledger, bridge), last=bridge.last_address)
    except ipam.NoAddressLeft:
        forget_dead(ledger, table)
        return ipam.choose_address(subnet, _taken(ledger, bridge), last=bridge.last_address)


def _chosen(ledger: Ledger, table: str, bridge: BridgeRow, request: Request) -> int:
    """The address that is asked for.

    Raises:
        InvalidInput: the network does not have it to give. Conflict: another container has it.
    """
    subnet, address = Subnet.parse(bridge.subnet), address_number(request.address)
    if not subnet.base + 1 < address < subnet.base + subnet.size - 1:
        raise InvalidInput(
            f"the address {request.address} is none of the network {request.network!r}, or its gateway's",
            remedy=f"Choose one of {subnet} from {address_text(subnet.base + 2)} on.",
        )
    if address in _taken(ledger, bridge):
        forget_dead(ledger, table)
    if address in _taken(ledger, bridge):
        raise Conflict(
            f"the address {request.address} of the network {request.network!r} is in use by another container",
            remedy="Choose another one, or none.",
        )
    return address


def _taken(ledger: Ledger, bridge: BridgeRow) -> frozenset[int]:
    return frozenset(row.address for row in ledger.endpoints(network=bridge.network))


def _allow_forwarding(ledger: Ledger) -> None:
    """Again with each container, for interfaces come and go."""
    if forwarding.is_global():
        return
    own = frozenset(row.device for row in ledger.bridges())
    with NetlinkSocket(NETLINK_ROUTE) as netlink:
        forwarding.allow(ledger, forwarding.uplinks(netlink, own=own))
