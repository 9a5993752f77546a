"""A container's networks: joined before it starts, others joined and left while it runs; and names in them."""

from __future__ import annotations

import os
import sys

from estiba.engine.monitor import ordinary_user
from estiba.engine.options import Membership
from estiba.engine.paths import ContainerPaths
from estiba.engine.records import Joined, Networking
from estiba.errors import EstibaError, NotFound, Unavailable
from estiba.linux.namespaces import has_root
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from estiba.engine.monitor.loop import Loop
    from estiba.engine.monitor.request import StartRequest
    from estiba.linux.own_ids import OwnIds
    from estiba.networks.endpoints import Endpoint
    from estiba.networks.ledger import EndpointRow
    from estiba.networks.names.server import NameServer
    from estiba.networks.networks import Networks
    from estiba.networks.usermode import UserNetwork

_JOINS = "container:"
_WITHOUT_NAMES = ("", "none", "host", "bridge")


class Network(NamedTuple):
    """`descriptor` is the namespace, -1 where the runtime makes one (``none``), or the host's or another's is used.

    `user` connects the one that the runtime makes, where an ordinary user is to have a network.
    """

    descriptor: int
    choice: str
    networking: Networking
    user: UserNetwork | None = None

    @property
    def has_names(self) -> bool:
        """Whether containers find each other by name in one of its networks: in those that users defined."""
        joined = (self.networking.network, *(one.network for one in self.networking.others))
        return self.descriptor >= 0 and any(name not in _WITHOUT_NAMES for name in joined)


def connect(request: StartRequest, networks: Callable[[], Networks], own: OwnIds | None) -> Network:
    """Make the container's network namespace and put it into its networks, which last over restarts.

    `networks` is asked for only where there is something to join.

    Raises:
        NotFound, Conflict, Unavailable: as `Networks.attach`.
    """
    options = request.options
    wanted = options.network
    if wanted == "host":
        return Network(-1, "host", Networking("host"))
    if wanted == "none":
        return Network(-1, "new", Networking("none"))
    if wanted.startswith(_JOINS) and not ordinary_user.is_ordinary():
        return Network(-1, "", Networking(wanted))  # found at each start (`surroundings`)
    if not has_root():
        return _user_network(request)
    joined = networks()
    descriptor = os.dup(own.network) if own is not None else joined.new_namespace()
    try:
        if own is not None:
            joined.prepare_namespace(descriptor)
        network = Network(descriptor, f"path:/proc/{os.getpid()}/fd/{descriptor}", Networking())
        for membership in options.memberships():
            network = join(request, network, joined, membership)
    except BaseException:
        unplug(joined, give_back(joined, request.container_id))
        os.close(descriptor)
        raise
    return network


def join(request: StartRequest, network: Network, networks: Networks, membership: Membership) -> Network:
    """Put the container into one more network; the first of all has its published ports.

    Raises:
        NotFound, Conflict, InvalidInput, Unavailable: as `Networks.attach`.
    """
    before = network.networking
    endpoint = networks.attach(
        network.descriptor,
        key=request.container_id,
        network=membership.network,
        ports=request.ports if not before.network else (),
        hostname=request.name,
        mac=membership.mac_address or None,
        address=membership.address,
        aliases=membership.aliases,
    )
    if before.network:
        one = Joined(*_place(endpoint), membership.aliases)
        return network._replace(networking=before._replace(others=(*before.others, one)))
    ports = tuple((f"{p.container_port}/{p.protocol}", f"{p.host_address}:{p.host_port}") for p in endpoint.ports)
    return network._replace(networking=Networking(*_place(endpoint), ports, membership.aliases, others=before.others))


def leave(request: StartRequest, network: Network, networks: Networks, name: str) -> Network:
    """Take the container out of one of its networks.

    Raises:
        PermissionDenied, Unavailable: the kernel refused.
    """
    networks.leave(network.descriptor, request.container_id, name)
    before = network.networking
    if before.network == name:
        return network._replace(networking=Networking(others=before.others))
    others = tuple(one for one in before.others if one.network != name)
    return network._replace(networking=before._replace(others=others))


def give_back(networks: Networks, container_id: str) -> tuple[EndpointRow, ...]:
    """Give back addresses and ports; gives the links that are to be unplugged.

    Where the record cannot be written now, the next container does it, for this one's owner has ended by then.
    """
    try:
        return networks.give_back(container_id)
    except EstibaError as error:
        print(f"addresses and ports stay noted until the next container starts: {error}", file=sys.stderr, flush=True)
        return ()


def unplug(networks: Networks, links: tuple[EndpointRow, ...]) -> None:
    """Take the links away; those that stay end with the container's namespace."""
    try:
        networks.unplug(links)
    except EstibaError as error:
        print(f"links go with the network namespace: {error}", file=sys.stderr, flush=True)


def name_server(loop: Loop, request: StartRequest, network: Network, networks: Networks) -> NameServer:
    """What answers the container's questions about names. `--dns` says whom to ask for others than containers'.

    Raises:
        OSError: there is no room for it.
    """
    from estiba.engine.monitor.files import host_file
    from estiba.networks.names import doors
    from estiba.networks.names.server import NameServer
    from estiba.networks.resolver import PUBLIC_SERVERS, name_servers

    servers = request.options.naming.dns or name_servers(host_file("/etc/resolv.conf")) or PUBLIC_SERVERS
    opened = doors.opened(network.descriptor)
    return NameServer(loop, opened, networks.directory(request.container_id), upstream=servers)


def _place(endpoint: Endpoint) -> tuple[str, str, int, str, str]:
    return endpoint.network, endpoint.address, endpoint.prefix, endpoint.gateway, endpoint.mac


def _user_network(request: StartRequest) -> Network:
    """The network of an ordinary user: what carries its packets is started with the container's first process."""
    from estiba.networks import usermode

    wanted = request.options.network
    if wanted not in ("bridge", *usermode.KINDS):
        raise Unavailable(f"the network {wanted} takes root", remedy=ordinary_user.NEEDS_ROOT)
    if ordinary_user.is_ordinary():
        raise Unavailable(
            f"the network {wanted} takes root, or ids in /etc/subuid and /etc/subgid for this user",
            remedy=ordinary_user.NEEDS_ROOT,
        )
    try:
        place = usermode.find("" if wanted == "bridge" else wanted)
    except (NotFound, Unavailable) as error:
        if wanted != "bridge":
            raise
        raise Unavailable(f"the network bridge takes root, and {error.message}", remedy=error.remedy) from error
    bundle = ContainerPaths(request.root, request.run, request.container_id).bundle
    user = usermode.UserNetwork(place, ports=request.ports, directory=bundle)
    ports = tuple((f"{p.container_port}/{p.protocol}", f"{p.host_address}:{p.host_port}") for p in user.ports)
    networking = Networking(place.kind, place.address, place.prefix, place.gateway, "", ports)
    return Network(-1, "new", networking, user)
