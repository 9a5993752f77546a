"""Whether container networks work on this machine, tried in a network namespace of its own that goes at once."""

from __future__ import annotations

from estiba.linux import links, namespaces, netns, nftables
from estiba.linux.netlink import NETLINK_ROUTE, NetlinkSocket
from estiba.networks.firewall import Bridge, Published, table_script
from estiba.networks.ports import PortMapping

_PUBLISHED = Published(PortMapping(80, 8080), "10.87.0.2")


def make_all() -> None:
    """Make a bridge, a link and the rules in a new namespace, in which the process stays.

    Raises:
        OSError, EstibaError: what is missing.
    """
    namespaces.unshare(namespaces.CLONE_NEWNET)
    container = netns.make()
    with NetlinkSocket(NETLINK_ROUTE) as netlink:
        netlink.transact([links.new_bridge("est0", mac="02:e5:0a:57:00:01", mtu=1500)])
        master = links.index_of("est0") or 0
        pair = links.new_veth(
            "ve0", master=master, peer="eth0", peer_namespace=container, peer_mac="02:e5:0a:57:00:02", mtu=1500
        )
        netlink.transact([pair])
    nftables.run_script(table_script("est-trial", [Bridge("est0", "10.87.0.0/24", False)], [_PUBLISHED]))
