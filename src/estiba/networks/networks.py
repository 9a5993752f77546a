"""The front door: networks that containers share, and the ports that lead into them.

    create, remove, list, inspect, unused     what users define; nothing happens in the kernel yet
    new_namespace -> attach -> detach         a container's life in a network
    reconcile                                 what killed owners left goes
    teardown                                  nothing of this installation stays in the kernel

A network is a Linux bridge with an IPv4 subnet, NAT to the outside and one nftables table for the installation
(`firewall.py` says what its rules promise). IPv6, name resolution between containers, and networks for users other than
root are not there yet.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence

from estiba.errors import Conflict, InvalidInput
from estiba.linux import links, nftables
from estiba.linux.netlink import NETLINK_ROUTE, NetlinkSocket
from estiba.linux.processes import start_time
from estiba.networks import bridges, endpoints, firewall, forwarding, ipam, naming
from estiba.networks.addresses import Subnet, address_text
from estiba.networks.definitions import Definition, Definitions, NetworkExists, NetworkRecord, identity
from estiba.networks.endpoints import Endpoint
from estiba.networks.host_firewall import check_publishing
from estiba.networks.kernel import explain
from estiba.networks.ledger import BridgeRow, EndpointRow, Ledger, PortRow
from estiba.networks.ports import LOOPBACK, PortMapping
from estiba.networks.reservations import Reservation, reserve


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
        ledger = Ledger(self._run)
        try:
            with (
                ledger,
                NetlinkSocket(NETLINK_ROUTE) as netlink,
            ):  # one at a time, so that no two choose the same subnet
                routes = [(other, f"the route over {device}") for other, device in bridges.host_routes(netlink)]
                taken = [*self._occupied(ledger), *routes]
                if any(definition.name == name for definition in self._definitions.all()):
                    raise NetworkExists(name)
                if wanted is None:
                    wanted = ipam.choose_subnet(other for other, _ in taken)
                for other, owner in taken:
                    if wanted.overlaps(other):
                        raise bridges.SubnetTaken(name, wanted, f"{other}, {owner}")
                definition = Definition(name, str(wanted), internal, dict(labels or {}), int(time.time()))
                self._definitions.add(definition)
        finally:
            ledger.close()
        return self._record(definition, None)

    def remove(self, name: str) -> None:
        """Remove a network and its bridge.

        Raises:
            NotFound: there is none.
            NetworkInUse: containers are attached.
            InvalidInput: a built-in network.
        """
        if name in naming.RESERVED:
            raise InvalidInput(f"the network {name!r} is built in and cannot be removed")
        self._definitions.get(name)
        ledger = Ledger(self._run)
        try:
            with ledger:
                self._forget(ledger, [row for row in ledger.endpoints(network=name) if _is_dead(row)])
                left = ledger.endpoints(network=name)
                if left:
                    raise NetworkInUse(name, [row.key for row in left])
                self._remove_bridge(ledger, name)
        except OSError as error:
            raise explain(error) from error
        finally:
            ledger.close()
        self._definitions.remove(name)

    def list(self) -> tuple[NetworkRecord, ...]:
        """Every network: the built-in ``bridge``, ``host`` and ``none`` first, then the users' by name."""
        rows = {row.network: row for row in self._bridge_rows()}
        built_in = [
            self._record(None, rows.get(naming.DEFAULT_NETWORK)),
            NetworkRecord("host", identity(self._root, "host", 0), "host"),
            NetworkRecord("none", identity(self._root, "none", 0), "null"),
        ]
        defined = (self._record(definition, rows.get(definition.name)) for definition in self._definitions.all())
        return (*built_in, *defined)

    def inspect(self, name: str) -> NetworkRecord:
        """The network of that name, ID, or the beginning of one ID.

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
        """The users' networks that no container is in: what a prune would remove."""
        used = {row.network for row in self._endpoint_rows()}
        return tuple(record for record in self.list() if record.created and record.name not in used)

    def endpoints(self, name: str) -> dict[str, Endpoint]:
        """The containers in a network: key -> endpoint."""
        ledger = Ledger(self._run)
        try:
            with ledger:
                bridge = ledger.bridge(name)
                rows = ledger.endpoints(network=name)
                ports = ledger.ports()
        finally:
            ledger.close()
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
        try:
            return endpoints.new_namespace()
        except OSError as error:
            raise explain(error) from error

    def attach(
        self,
        netns_fd: int,
        *,
        key: str,
        network: str = naming.DEFAULT_NETWORK,
        ports: Sequence[PortMapping] = (),
        hostname: str = "",
        mac: str | None = None,
    ) -> Endpoint:
        """Connect the namespace `netns_fd` to a network and publish `ports`; all of it or nothing.

        `key` names the container; it may be in several networks, once in each. A port with host port 0 gets a free one;
        the endpoint given back has it.

        Raises:
            NotFound: there is no such network.
            InvalidInput: ports in an internal network, a wrong MAC or an address that the host does not have.
            Conflict: a port is taken (the message names by whom), or the container is in that network already.
            PermissionDenied, Unavailable: the kernel or the machine lacks something.
        """
        network = naming.DEFAULT_NETWORK if network == "default" else network
        definition = None if network == naming.DEFAULT_NETWORK else self._definitions.get(network)
        if definition is not None and definition.internal and ports:
            raise InvalidInput(
                f"the network {network!r} is internal: its ports cannot be published",
                remedy="Leave the ports out, or use a network without --internal.",
            )
        if any(port.host_address != LOOPBACK for port in ports):
            check_publishing(own_table=naming.table_of(self._run))
        ledger = Ledger(self._run)
        try:
            row, bridge, held, default_route = self._allot(ledger, key, network, definition, ports, hostname, mac)
            self._held[key] = self._held.get(key, ()) + held
            published = [firewall.Published(port.mapping, address_text(row.address)) for port in held]
            try:
                endpoints.plug(netns_fd, row, bridge, default_route=default_route)
                nftables.add_elements(naming.table_of(self._run), [firewall.element(port) for port in published])
                for reservation in held:
                    reservation.listen()
            except BaseException:
                self._release(held)
                with ledger:
                    self._forget(ledger, [row])
                _unplug([row])
                raise
        except OSError as error:
            raise explain(error) from error
        finally:
            ledger.close()
        return endpoints.describe(row, bridge, tuple(port.mapping for port in held))

    def detach(self, key: str) -> None:
        """Take a container out of its networks and give back its addresses and ports; nothing happens if it is in none.

        Raises:
            PermissionDenied, Unavailable: the kernel refused.
        """
        self._release(self._held.pop(key, ()))
        ledger = Ledger(self._run)
        try:
            with ledger:
                rows = ledger.endpoints(key=key)
                self._forget(ledger, rows)
            _unplug(rows)
        except OSError as error:
            raise explain(error) from error
        finally:
            ledger.close()

    def reconcile(self, alive_keys: Collection[str]) -> tuple[str, ...]:
        """Give back what containers had that are not in `alive_keys` and whose owner has died; gives their keys.

        What is being attached at this moment stays, for its owner lives.
        """
        ledger = Ledger(self._run)
        try:
            with ledger:
                rows = ledger.endpoints()
                dead = [row for row in rows if row.key not in alive_keys and not _owner_lives(row)]
                self._forget(ledger, dead)
            _unplug(dead)
        except OSError as error:
            raise explain(error) from error
        finally:
            ledger.close()
        return tuple(sorted({row.key for row in dead}))

    def teardown(self) -> None:
        """Remove every bridge and the table of this installation from the kernel; definitions stay.

        Raises:
            NetworkInUse: a container is attached.
        """
        ledger = Ledger(self._run)
        try:
            with ledger:
                self._forget(ledger, [row for row in ledger.endpoints() if _is_dead(row)])
                for row in ledger.endpoints():
                    raise NetworkInUse(row.network, [other.key for other in ledger.endpoints(network=row.network)])
                names = {row.network for row in ledger.bridges()} | {naming.DEFAULT_NETWORK}
                names |= {definition.name for definition in self._definitions.all()}
                with NetlinkSocket(NETLINK_ROUTE) as netlink:
                    for name in sorted(names):
                        device = naming.device_of(self._run, name)
                        bridges.remove_device(netlink, device)
                        _forget_settings(ledger, device)
                        ledger.remove_bridge(name)
                nftables.delete_table(naming.table_of(self._run))
        except OSError as error:
            raise explain(error) from error
        finally:
            ledger.close()

    # Steps

    def _allot(
        self,
        ledger: Ledger,
        key: str,
        network: str,
        definition: Definition | None,
        ports: Sequence[PortMapping],
        hostname: str,
        mac: str | None,
    ) -> tuple[EndpointRow, BridgeRow, tuple[Reservation, ...], bool]:
        """Decide what the container gets and note it, so that no other process decides the same."""
        held: tuple[Reservation, ...] = ()
        try:
            with ledger:
                taken = [subnet for subnet, _ in self._occupied(ledger)] if ledger.bridge(network) is None else []
                bridge = bridges.realise(ledger, self._run, network, definition, taken)
                if ports or ledger.endpoints(key=key):
                    self._forget(ledger, [row for row in ledger.endpoints() if _is_dead(row)])
                own = ledger.endpoints(key=key)
                if any(row.network == network for row in own):
                    raise Conflict(f"{key} is in the network {network!r} already", remedy="Detach it first.")
                others = [(row.published.mapping, f"the container {row.key}") for row in ledger.ports()]
                for port in ports:
                    held += (reserve(port, others),)
                address = self._address(ledger, bridge)
                numbers = {row.interface for row in own}
                interface = next(name for name in (f"eth{n}" for n in range(len(own) + 1)) if name not in numbers)
                row = EndpointRow(
                    key=key,
                    network=network,
                    address=address,
                    mac=_checked_mac(mac) if mac else ipam.mac_of(address),
                    interface=interface,
                    link=naming.veth_of(self._run, network, key),
                    hostname=hostname,
                    owner=os.getpid(),
                    owner_started=start_time(os.getpid()) or 0,
                )
                ledger.add_endpoint(row)
                text = address_text(address)
                ledger.add_ports(PortRow(firewall.Published(r.mapping, text), key, network) for r in held)
                internal = {other.network for other in ledger.bridges() if other.internal}
                default_route = not bridge.internal and all(other.network in internal for other in own)
                if not bridge.internal:
                    self._allow_forwarding(ledger)
        except BaseException:
            self._release(held)
            raise
        return row, bridge, held, default_route

    def _address(self, ledger: Ledger, bridge: BridgeRow) -> int:
        subnet = Subnet.parse(bridge.subnet)
        for attempt in (1, 2):
            taken = {row.address for row in ledger.endpoints(network=bridge.network)}
            try:
                return ipam.choose_address(subnet, taken, last=bridge.last_address)
            except ipam.NoAddressLeft:
                if attempt == 2:
                    raise
                self._forget(ledger, [row for row in ledger.endpoints() if _is_dead(row)])
        raise AssertionError("unreachable")

    def _allow_forwarding(self, ledger: Ledger) -> None:
        """Again with each container, for interfaces come and go."""
        if forwarding.is_global():
            return
        own = frozenset(row.device for row in ledger.bridges())
        with NetlinkSocket(NETLINK_ROUTE) as netlink:
            forwarding.allow(ledger, forwarding.uplinks(netlink, own=own))

    def _forget(self, ledger: Ledger, rows: Sequence[EndpointRow]) -> None:
        """Give back ports and addresses. The links go with `_unplug`, without the lock: the kernel takes 20 ms."""
        if not rows:
            return
        keys = {(row.key, row.network) for row in rows}
        ports = [port for port in ledger.ports() if (port.key, port.network) in keys]
        table = naming.table_of(self._run)
        nftables.delete_elements(table, [firewall.element(port.published) for port in ports])
        ledger.remove_ports(ports)
        for row in rows:
            ledger.remove_endpoint(row.key, row.network)

    def _remove_bridge(self, ledger: Ledger, network: str) -> None:
        device = naming.device_of(self._run, network)
        with NetlinkSocket(NETLINK_ROUTE) as netlink:
            bridges.remove_device(netlink, device)
        _forget_settings(ledger, device)
        if ledger.bridge(network) is not None:
            ledger.remove_bridge(network)
            table = naming.table_of(self._run)
            if nftables.has_table(table):
                bridges.install_rules(ledger, table)

    def _release(self, reservations: Sequence[Reservation]) -> None:
        for reservation in reservations:
            reservation.close()

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

    def _bridge_rows(self) -> Sequence[BridgeRow]:
        ledger = Ledger(self._run)
        try:
            return ledger.bridges()
        finally:
            ledger.close()

    def _endpoint_rows(self) -> Sequence[EndpointRow]:
        ledger = Ledger(self._run)
        try:
            return ledger.endpoints()
        finally:
            ledger.close()


def _unplug(rows: Sequence[EndpointRow]) -> None:
    with NetlinkSocket(NETLINK_ROUTE) as netlink:
        for row in rows:
            bridges.remove_device(netlink, row.link)


def _ports_of(row: EndpointRow, ports: Sequence[PortRow]) -> tuple[PortMapping, ...]:
    return tuple(port.published.mapping for port in ports if (port.key, port.network) == (row.key, row.network))


def _owner_lives(row: EndpointRow) -> bool:
    return start_time(row.owner) == row.owner_started


def _is_dead(row: EndpointRow) -> bool:
    """Whether nothing of the container is left: its link ends with its namespace, and its owner is gone too."""
    return links.index_of(row.link) is None and not _owner_lives(row)


def _forget_settings(ledger: Ledger, device: str) -> None:
    for version in ("ipv4", "ipv6"):
        ledger.forget_settings(f"net/{version}/conf/{device}/")


def _checked_mac(mac: str) -> str:
    parts = mac.lower().split(":")
    if len(parts) != 6 or not all(len(part) == 2 and set(part) <= set("0123456789abcdef") for part in parts):
        raise InvalidInput(f"{mac!r} is not a MAC address", remedy="Write six pairs like 02:42:ac:11:00:02.")
    if int(parts[0], 16) & 1:
        raise InvalidInput(f"the MAC address {mac} is one of a group", remedy="Make the first pair an even number.")
    return ":".join(parts)
