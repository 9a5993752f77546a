"""A container's place in a network: its link, address, routes and published ports, made in the kernel."""

from __future__ import annotations

import errno

from estiba.linux import links, netns, sysctl
from estiba.linux.netlink import NETLINK_ROUTE, NetlinkSocket
from estiba.networks.addresses import Subnet, address_text
from estiba.networks.ledger import BridgeRow, EndpointRow
from estiba.networks.ports import PortMapping
from estiba.values import NamedTuple


class Endpoint(NamedTuple):
    """What a container has in a network; `ports` with the host ports chosen, `gateway` "" in an internal network."""

    network: str
    interface: str
    address: str
    prefix: int
    gateway: str
    mac: str
    ports: tuple[PortMapping, ...] = ()
    hostname: str = ""


def describe(row: EndpointRow, bridge: BridgeRow, ports: tuple[PortMapping, ...]) -> Endpoint:
    """The endpoint that a row of the ledger stands for."""
    subnet = Subnet.parse(bridge.subnet)
    gateway = "" if bridge.internal else subnet.gateway
    return Endpoint(
        network=row.network,
        interface=row.interface,
        address=address_text(row.address),
        prefix=subnet.prefix,
        gateway=gateway,
        mac=row.mac,
        ports=ports,
        hostname=row.hostname,
    )


def new_namespace() -> int:
    """A descriptor of a new network namespace whose loopback is up. Later links of it have no IPv6.

    Raises:
        OSError: the kernel refused.
    """
    descriptor = netns.make()
    prepare_namespace(descriptor)
    return descriptor


def prepare_namespace(descriptor: int) -> None:
    """Raise the loopback of a network namespace that is new; later links of it have no IPv6.

    Raises:
        OSError: the kernel refused.
    """
    with netns.Inside(descriptor), NetlinkSocket(NETLINK_ROUTE) as netlink:
        netlink.transact([links.link_up(links.LOOPBACK_INDEX)])
        try:
            # Networks are IPv4: an interface with only a link-local address would make programs wait for its failure.
            sysctl.write("net/ipv6/conf/default/disable_ipv6", "1")
        except FileNotFoundError:
            pass  # a kernel without IPv6


def lead_out(netns_fd: int, bridge: BridgeRow) -> None:
    """Give a namespace, whose way to the outside may have gone with a link, one over the network of `bridge`.

    Raises:
        OSError: the kernel refused.
    """
    with netns.Inside(netns_fd), NetlinkSocket(NETLINK_ROUTE) as netlink:
        try:
            netlink.transact([links.default_route(Subnet.parse(bridge.subnet).gateway)])
        except FileExistsError:
            pass  # it has one


def plug(netns_fd: int, row: EndpointRow, bridge: BridgeRow, *, default_route: bool) -> None:
    """Make the link of `row` between the bridge and the namespace, with address and routes.

    Raises:
        OSError: the kernel refused; what was made until then goes with the link, which the caller removes.
    """
    subnet = Subnet.parse(bridge.subnet)
    master = links.index_of(bridge.device)
    if master is None:
        raise OSError(errno.ENODEV, f"the bridge {bridge.device} went away")
    with NetlinkSocket(NETLINK_ROUTE) as netlink:
        pair = links.new_veth(
            row.link, master=master, peer=row.interface, peer_namespace=netns_fd, peer_mac=row.mac, mtu=bridge.mtu
        )
        # With br_netfilter, what a container sends to its own published port turns round inside the bridge.
        messages = [pair, links.allow_hairpin(row.link)]
        try:
            netlink.transact(messages)
        except FileExistsError:  # left by a killed owner of the same key, whose namespace is not gone yet
            netlink.transact([links.delete_link(row.link), *messages])
    with netns.Inside(netns_fd), NetlinkSocket(NETLINK_ROUTE) as netlink:
        index = links.index_of(row.interface)
        if index is None:
            raise OSError(errno.ENODEV, f"the link {row.interface} went away while it was being made")
        messages = [links.new_address(index, address_text(row.address), subnet.prefix), links.link_up(index)]
        if default_route:
            messages.append(links.default_route(subnet.gateway))
        netlink.transact(messages)
