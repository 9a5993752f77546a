"""From a definition to a bridge in the kernel: the device, its settings, its rules. Made when first needed."""

from __future__ import annotations

import errno
import os

from estiba.errors import Conflict
from estiba.linux import links, nftables
from estiba.linux.netlink import NETLINK_ROUTE, NetlinkSocket
from estiba.networks import firewall, forwarding, ipam, naming
from estiba.networks.addresses import Subnet, address_number
from estiba.networks.definitions import Definition
from estiba.networks.ledger import BridgeRow, Ledger

_ATTEMPTS = 8


class SubnetTaken(Conflict):
    def __init__(self, network: str, subnet: Subnet, other: str) -> None:
        super().__init__(
            f"the subnet {subnet} of the network {network!r} overlaps {other}",
            remedy="Create the network with another --subnet.",
        )


def realise(ledger: Ledger, run: str, network: str, definition: Definition | None, taken: list[Subnet]) -> BridgeRow:
    """The bridge of a network, as it is or newly made. Within a transaction of `ledger`.

    `definition` is None for the built-in network, whose subnet is chosen here, as is another where that of a definition
    was chosen and has been taken meanwhile; `taken` are the subnets of the definitions.

    Raises:
        OSError: the kernel refused.
        Unavailable, PermissionDenied: no `nft`, no subnet left, no right.
        SubnetTaken: the host has meanwhile a route into the subnet of a definition.
    """
    row = ledger.bridge(network)
    table = naming.table_of(run)
    if row is not None and links.index_of(row.device) is not None:
        if not nftables.has_table(table):  # somebody flushed all rules
            install_rules(ledger, table)
        return row
    with NetlinkSocket(NETLINK_ROUTE) as netlink:
        sweep(netlink)
        device = naming.device_of(run, network)
        if links.index_of(device) is not None:  # of a killed process, before it could note it
            netlink.transact([links.delete_link(device)])
        for attempt in range(_ATTEMPTS):
            subnet = _choose(ledger, netlink, network, definition, row, taken)
            last = row.last_address if row is not None and row.subnet == str(subnet) else 0
            internal = definition is not None and definition.internal
            made = BridgeRow(network, device, str(subnet), forwarding.packet_size(netlink), internal, last)
            ledger.put_bridge(made)
            install_rules(ledger, table)
            try:
                _make_device(ledger, netlink, run, made)
                if attempt == _ATTEMPTS - 1 or not _routed_elsewhere(netlink, subnet, device):
                    return made
            except BaseException:
                remove_device(netlink, device)
                raise
            remove_device(netlink, device)  # another installation chose the same at the same moment
    raise AssertionError("unreachable")


def sweep(netlink: NetlinkSocket) -> tuple[str, ...]:
    """Remove bridges without containers of installations whose run directory is gone; gives their names."""
    known = links.links(netlink)
    used = {link.master for link in known}
    gone: list[str] = []
    for link in known:
        run = naming.run_of_note(link.note)
        if run is None or link.number in used or os.path.lexists(run) or not link.name.startswith("est"):
            continue
        remove_device(netlink, link.name)
        nftables.delete_table(naming.table_of(run))
        gone.append(link.name)
    return tuple(gone)


def install_rules(ledger: Ledger, table: str) -> None:
    """Bring the table to what the ledger says: every bridge, every published port."""
    bridges = [row.rules for row in ledger.bridges()]
    published = [row.published for row in ledger.ports()]
    nftables.run_script(firewall.table_script(table, bridges, published))


def remove_device(netlink: NetlinkSocket, device: str) -> None:
    """Remove a link, also where it is gone already (asked first: without rights the kernel says EPERM, not ENODEV)."""
    if links.index_of(device) is None:
        return
    try:
        netlink.transact([links.delete_link(device)])
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


def host_routes(netlink: NetlinkSocket) -> list[tuple[Subnet, str]]:
    """The subnets that this host has a route to, each with the name of its interface; default routes are left out."""
    found = []
    for route in links.routes(netlink):
        if route.prefix:
            subnet = Subnet(address_number(route.destination), route.prefix)
            found.append((subnet, links.name_of(route.link) or "?"))
    return found


def _choose(
    ledger: Ledger,
    netlink: NetlinkSocket,
    network: str,
    definition: Definition | None,
    row: BridgeRow | None,
    taken: list[Subnet],
) -> Subnet:
    routes = host_routes(netlink)
    others = [Subnet.parse(other.subnet) for other in ledger.bridges() if other.network != network]
    if definition is not None and not definition.chosen:
        subnet = Subnet.parse(definition.subnet)
        for other, device in routes:
            if subnet.overlaps(other):
                raise SubnetTaken(network, subnet, f"the route to {other} over {device} of this host")
        return subnet
    before = row.subnet if row is not None else definition.subnet if definition is not None else ""
    occupied = [other for other, _ in routes] + others + [other for other in taken if str(other) != before]
    if before and not any(Subnet.parse(before).overlaps(other) for other in occupied):
        return Subnet.parse(before)
    return ipam.choose_subnet(occupied)


def _routed_elsewhere(netlink: NetlinkSocket, subnet: Subnet, device: str) -> bool:
    return any(subnet.overlaps(other) and name != device for other, name in host_routes(netlink))


def _make_device(ledger: Ledger, netlink: NetlinkSocket, run: str, row: BridgeRow) -> None:
    """The rules must be in place already: route_localnet opens a door that they guard."""
    subnet = Subnet.parse(row.subnet)
    netlink.transact([links.new_bridge(row.device, mac=ipam.mac_of(subnet.base + 1), mtu=row.mtu)])
    index = links.index_of(row.device)
    if index is None:
        raise OSError(errno.ENODEV, f"the bridge {row.device} went away while it was being made")
    forwarding.change(ledger, f"net/ipv6/conf/{row.device}/disable_ipv6", "1")
    forwarding.change(ledger, f"net/ipv4/conf/{row.device}/route_localnet", "1")
    netlink.transact(
        [
            links.annotate(row.device, naming.note_of(run, row.network)),
            links.new_address(index, subnet.gateway, subnet.prefix),
            links.link_up(index),
        ]
    )
    if not row.internal:
        own = frozenset(other.device for other in ledger.bridges())
        forwarding.allow(ledger, (row.device, *forwarding.uplinks(netlink, own=own)))
