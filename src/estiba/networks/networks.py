"""The front door: networks that containers share, and the ports that lead into them.

    create, remove, list, inspect, unused     what users define; nothing happens in the kernel yet
    new_namespace -> attach -> detach         a container's life in a network
    reconcile                                 what killed owners left goes
    teardown                                  nothing of this installation stays in the kernel

A network is a Linux bridge with an IPv4 subnet, NAT to the outside and one nftables table for the installation
(`firewall.py` says what its rules promise). IPv6, and networks for users other than root are not there yet.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence

from estiba.errors import Conflict, InvalidInput
from estiba.linux import nftables
from estiba.linux.netlink import NETLINK_ROUTE, NetlinkSocket
from estiba.networks import allotment, bridges, endpoints, firewall, ipam, naming
from estiba.networks.addresses import Subnet
from estiba.networks.definitions import Definition, Definitions, NetworkExists, NetworkRecord, identity
from estiba.networks.endpoints import Endpoint
from estiba.networks.host_firewall import check_publishing
from estiba.networks.kernel import Explained
from estiba.networks.ledger import BridgeRow, EndpointRow, Ledger, PortRow
from estiba.networks.ports import LOOPBACK, PortMapping
from estiba.networks.reservations import Reservation
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.networks.names.directory import Directory


class NetworkInUse(Conflict):
    def __init__(self, name: str, keys: Sequence[str]) -> None:
        super().__init__(
            f"the network {name!r} is in use by {', '.join(sorted(keys))}", remedy="Stop and remove them first."
        )


class Networks:
    """The networks of one installation: definitions below `root`, what is in use below `run`.

    The object that attached a container holds its published ports; keep it as long as the container runs.
    """

    def __init__(self, *, root: str, run: str) -> None:
        self._root = root
        self._run = run
        self._table = naming.table_of(run)
        self._definitions = Definitions(os.path.join(root, "networks"))
        self._held: dict[str, tuple[Reservation, ...]] = {}

    # What users define

    def create(
        self, name: str, *, subnet: str | None = None, internal: bool = False, labels: Mapping[str, str] | None = None
    ) -> NetworkRecord:
        """Define a network; its bridge is made with the first container.

        Raises:
            InvalidInput: the name or the subnet cannot be.
            NetworkExists: the name is taken.
            SubnetTaken: the subnet overlaps another network, or a route of this host.
        """
        naming.check_name(name)
        wanted = Subnet.parse(subnet) if subnet else None
        # One at a time, so that no two choose the same subnet.
        with Explained(), Ledger(self._run) as ledger, ledger.transaction(), NetlinkSocket(NETLINK_ROUTE) as netlink:
            if any(definition.name == name for definition in self._definitions.all()):
                raise NetworkExists(name)
            routes = [(other, f"the route over {device}") for other, device in bridges.host_routes(netlink)]
            taken = [*self._occupied(ledger), *routes]
            is_chosen = wanted is None
            if wanted is None:
                wanted = ipam.choose_subnet(other for other, _ in taken)
            for other, owner in taken:
                if wanted.overlaps(other):
                    raise bridges.SubnetTaken(name, wanted, f"{other}, {owner}")
            definition = Definition(name, str(wanted), internal, dict(labels or {}), int(time.time()), is_chosen)
            self._definitions.add(definition)
        return self._record(definition, None)

    def remove(self, name: str) -> None:
        """Remove a network and its bridge.

        Raises:
            NotFound: there is none.
            NetworkInUse: containers are attached.
            InvalidInput: a built-in network.
        """
        if name in naming.RESERVED:
            raise InvalidInput(
                f"the network {name!r} is built in and cannot be removed",
                remedy="`estiba network prune` takes its bridge away while nobody uses it.",
            )
        self._definitions.get(name)
        self.take_down(name)
        self._definitions.remove(name)

    def take_down(self, name: str) -> None:
        """Remove the bridge of a network, and the table with the last one; the next container makes them again.

        Raises:
            NetworkInUse: containers are attached.
        """
        with Explained(), Ledger(self._run) as ledger, ledger.transaction():
            allotment.forget_dead(ledger, self._table)
            left = ledger.endpoints(network=name)
            if left:
                raise NetworkInUse(name, [row.key for row in left])
            self._remove_bridge(ledger, name)

    def list(self) -> tuple[NetworkRecord, ...]:
        """Every network: the built-in ``bridge``, ``host`` and ``none`` first, then the users' by name."""
        with Ledger(self._run) as ledger:
            rows = {row.network: row for row in ledger.bridges()}
        defined = (self._record(definition, rows.get(definition.name)) for definition in self._definitions.all())
        return (
            self._record(None, rows.get(naming.DEFAULT_NETWORK)),
            NetworkRecord("host", identity(self._root, "host", 0), "host"),
            NetworkRecord("none", identity(self._root, "none", 0), "null"),
            *defined,
        )

    def inspect(self, name: str) -> NetworkRecord:
        """The network of that name or ID, or the one whose ID begins so (three characters are the least).

        Raises:
            NotFound: there is none.
            Conflict: several IDs begin so.
        """
        name = naming.DEFAULT_NETWORK if name == "default" else name
        records = self.list()
        for record in records:
            if name in (record.name, record.id):
                return record
        found = [record for record in records if len(name) >= 3 and record.id.startswith(name)]
        if len(found) > 1:
            raise Conflict(f"{name!r} is the beginning of several networks' IDs", remedy="Give more of the ID.")
        return found[0] if found else self._record(self._definitions.get(name), None)

    def unused(self) -> tuple[NetworkRecord, ...]:
        """The networks that no container is in: what a prune removes. The built-in one counts while it has a bridge."""
        with Ledger(self._run) as ledger:
            used = {row.network for row in ledger.endpoints() if not allotment.is_dead(row)}
            made = {row.network for row in ledger.bridges()}
        return tuple(
            record for record in self.list() if record.name not in used and (record.created or record.name in made)
        )

    def endpoints(self, name: str) -> dict[str, Endpoint]:
        """The containers in a network: key -> endpoint."""
        with Ledger(self._run) as ledger, ledger.transaction():
            bridge = ledger.bridge(name)
            rows = [row for row in ledger.endpoints(network=name) if not allotment.is_dead(row)]
            ports = ledger.ports()
        if bridge is None:
            return {}
        return {row.key: endpoints.describe(row, bridge, _ports_of(row, ports)) for row in rows}

    # A container's life in a network

    def new_namespace(self) -> int:
        """A descriptor (close-on-exec) of a new network namespace with its loopback up; the caller has one thread.

        It is bound to no path: it ends with its last process and descriptor.

        Raises:
            PermissionDenied, Unavailable: the kernel refused.
        """
        with Explained():
            return endpoints.new_namespace()

    def prepare_namespace(self, descriptor: int) -> None:
        """Do to a new namespace that somebody else made what `new_namespace` does.

        Raises:
            PermissionDenied, Unavailable: the kernel refused.
        """
        with Explained():
            endpoints.prepare_namespace(descriptor)

    def attach(
        self,
        netns_fd: int,
        *,
        key: str,
        network: str = naming.DEFAULT_NETWORK,
        ports: Sequence[PortMapping] = (),
        hostname: str = "",
        mac: str | None = None,
        aliases: Sequence[str] = (),
        address: str = "",
    ) -> Endpoint:
        """Connect the namespace `netns_fd` to a network and publish `ports`; all of it or nothing.

        `key` names the container; it may be in several networks, once in each. A port with host port 0 gets a free one;
        the endpoint given back has it. `hostname` and `aliases` are the names by which others in the network find it.
        `address` is the one that it is to have, "" any.

        Raises:
            NotFound: there is no such network.
            InvalidInput: ports in an internal network, a wrong MAC, an address that the host does not have, or an alias
                that nobody could ask for.
            Conflict: a port is taken (the message names by whom), or the container is in that network already.
            PermissionDenied, Unavailable: the kernel or the machine lacks something.
        """
        for alias in aliases:
            _check_alias(alias)
        network = naming.DEFAULT_NETWORK if network == "default" else network
        definition = None if network == naming.DEFAULT_NETWORK else self._definitions.get(network)
        if definition is not None and definition.internal and ports:
            raise InvalidInput(
                f"the network {network!r} is internal: its ports cannot be published",
                remedy="Leave the ports out, or use a network without --internal.",
            )
        request = allotment.Request(key, network, tuple(ports), hostname, mac or "", tuple(aliases), address)
        with Explained(), Ledger(self._run) as ledger:
            if any(port.host_address != LOOPBACK for port in ports):
                check_publishing(own_table=self._table)
            with ledger.transaction():  # on its own: the bridge stays, whatever becomes of this container
                taken = [subnet for subnet, _ in self._occupied(ledger)] if ledger.bridge(network) is None else []
                bridge = bridges.realise(ledger, self._run, network, definition, taken)
                if definition is not None and definition.subnet != bridge.subnet:
                    self._definitions.replace(definition._replace(subnet=bridge.subnet))
            with ledger.transaction():
                allotted = allotment.allot(ledger, self._run, request)
            try:
                endpoints.plug(netns_fd, allotted.row, bridge, default_route=allotted.default_route)
                self._publish(allotted)
            except BaseException:
                allotment.release(allotted.held)
                try:
                    with ledger.transaction():
                        allotment.forget(ledger, self._table, [allotted.row])
                finally:
                    allotment.unplug([allotted.row])
                raise
        self._held[key] = self._held.get(key, ()) + allotted.held
        return endpoints.describe(allotted.row, bridge, tuple(port.mapping for port in allotted.held))

    def rename(self, key: str, hostname: str) -> None:
        """A container has another name from now on."""
        with Ledger(self._run) as ledger, ledger.transaction():
            ledger.rename(key, hostname)

    def directory(self, key: str) -> Directory:
        """The names that a container knows others by."""
        from estiba.networks.names.directory import Directory

        return Directory(run=self._run, key=key)

    def leave(self, netns_fd: int, key: str, network: str) -> None:
        """Take a container, whose namespace is `netns_fd`, out of one of its networks; the others go on.

        Raises:
            PermissionDenied, Unavailable: the kernel refused.
        """
        with Explained(), Ledger(self._run) as ledger, ledger.transaction():
            rows = [row for row in ledger.endpoints(key=key) if row.network == network]
            left = [row for row in ledger.endpoints(key=key) if row.network != network]
            gone = {port.published.mapping for port in ledger.ports(key=key) if port.network == network}
            allotment.forget(ledger, self._table, rows)
            by_network = {row.network: row for row in ledger.bridges()}
        held = self._held.pop(key, ())
        allotment.release([one for one in held if one.mapping in gone])
        self._held[key] = tuple(one for one in held if one.mapping not in gone)
        with Explained():
            allotment.unplug(rows)
            leading_out = [by_network[row.network] for row in left if not by_network[row.network].internal]
            if leading_out:
                endpoints.lead_out(netns_fd, leading_out[0])

    def detach(self, key: str) -> None:
        """Take a container out of its networks and give back its addresses and ports; nothing happens if it is in none.

        Raises:
            PermissionDenied, Unavailable: the kernel refused.
        """
        self.unplug(self.give_back(key))

    def give_back(self, key: str) -> tuple[EndpointRow, ...]:
        """The first half of `detach`: addresses and ports are free again; gives the links that are to be unplugged.

        The kernel waits up to 30 ms while a link goes, for which somebody who hurries need not wait.

        Raises:
            PermissionDenied, Unavailable: the kernel refused.
        """
        allotment.release(self._held.pop(key, ()))
        if not Ledger.exists(self._run):
            return ()
        with Explained(), Ledger(self._run) as ledger:
            if not ledger.endpoints(key=key):
                return ()  # nothing to write, for which a full disk might have no place
            with ledger.transaction():
                rows = tuple(ledger.endpoints(key=key))
                allotment.forget(ledger, self._table, rows)
        return rows

    def unplug(self, links: Sequence[EndpointRow]) -> None:
        """The second half of `detach`: take the links away.

        Raises:
            PermissionDenied, Unavailable: the kernel refused.
        """
        with Explained():
            allotment.unplug(links)

    def close(self) -> None:
        """Let go of the ports that this object holds, as the end of the process does; their containers keep them."""
        for key in list(self._held):
            allotment.release(self._held.pop(key))

    def reconcile(self, alive_keys: Collection[str]) -> tuple[str, ...]:
        """Give back what containers had that are not in `alive_keys` and whose owner has died; gives their keys.

        What is being attached at this moment stays, for its owner lives.
        """
        with Explained(), Ledger(self._run) as ledger:
            with ledger.transaction():
                dead = [
                    row for row in ledger.endpoints() if row.key not in alive_keys and not allotment.owner_lives(row)
                ]
                allotment.forget(ledger, self._table, dead)
            allotment.unplug(dead)
        return tuple(sorted({row.key for row in dead}))

    def teardown(self) -> None:
        """Remove every bridge and the table of this installation from the kernel; definitions stay.

        Raises:
            NetworkInUse: a container is attached.
        """
        with Explained(), Ledger(self._run) as ledger, ledger.transaction():
            allotment.forget_dead(ledger, self._table)
            for row in ledger.endpoints():
                raise NetworkInUse(row.network, [other.key for other in ledger.endpoints(network=row.network)])
            names = {row.network for row in ledger.bridges()} | {naming.DEFAULT_NETWORK}
            names |= {definition.name for definition in self._definitions.all()}
            for name in sorted(names):
                self._remove_device(ledger, name)
                ledger.remove_bridge(name)
            nftables.delete_table(self._table)

    # Steps

    def _publish(self, allotted: allotment.Allotment) -> None:
        """From here on packets are led to the container; only then its ports look taken, so that no client waits."""
        nftables.add_elements(self._table, [firewall.element(port) for port in allotted.published])
        allotment.forget_connections([port.mapping for port in allotted.held])
        for reservation in allotted.held:
            reservation.listen()

    def _remove_bridge(self, ledger: Ledger, network: str) -> None:
        self._remove_device(ledger, network)
        if ledger.bridge(network) is not None:
            ledger.remove_bridge(network)
            if not ledger.bridges():
                nftables.delete_table(self._table)
            elif nftables.has_table(self._table):
                bridges.install_rules(ledger, self._table)

    def _remove_device(self, ledger: Ledger, network: str) -> None:
        device = naming.device_of(self._run, network)
        with NetlinkSocket(NETLINK_ROUTE) as netlink:
            bridges.remove_device(netlink, device)
        for version in ("ipv4", "ipv6"):  # its settings went with it
            ledger.forget_settings(f"net/{version}/conf/{device}/")

    def _occupied(self, ledger: Ledger) -> tuple[tuple[Subnet, str], ...]:
        """The subnets of this installation's networks, each with a word on whose it is."""
        defined = [(Subnet.parse(d.subnet), f"the network {d.name!r}") for d in self._definitions.all()]
        made = [(Subnet.parse(row.subnet), f"the network {row.network!r}") for row in ledger.bridges()]
        return (*defined, *(entry for entry in made if entry not in defined))

    def _record(self, definition: Definition | None, row: BridgeRow | None) -> NetworkRecord:
        name = definition.name if definition else naming.DEFAULT_NETWORK
        created = definition.created if definition else 0
        subnet = definition.subnet if definition else row.subnet if row else ""
        return NetworkRecord(
            name=name,
            id=identity(self._root, name, created),
            device=naming.device_of(self._run, name),
            subnet=subnet,
            gateway=Subnet.parse(subnet).gateway if subnet else "",
            internal=definition.internal if definition else False,
            labels=definition.labels if definition else {},
            created=created,
        )


def _check_alias(alias: str) -> None:
    from estiba.networks.names import message

    has_no_letters = any("\ud800" <= letter <= "\udfff" for letter in alias)  # bytes that are not UTF-8
    if has_no_letters or alias.split() != [alias] or message.encoded(alias) is None:
        raise InvalidInput(
            f"{alias!r} is no name that others could ask for",
            remedy="Leave out spaces, and dots at the beginning and the end; at most 63 bytes between two dots.",
        )


def _ports_of(row: EndpointRow, ports: Sequence[PortRow]) -> tuple[PortMapping, ...]:
    return tuple(port.published.mapping for port in ports if (port.key, port.network) == (row.key, row.network))
