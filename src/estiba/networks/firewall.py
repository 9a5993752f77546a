"""The rules of the container networks, as text for nft and as elements of its maps; pure.

One IPv4 table per installation. Its maps and chains are made once, again only when a network comes or goes; a published
port is one element. What the rules promise:

- A packet is only *dropped* here, or accepted as far as this table goes: another table's drop still counts (an accept
  ends the walk through one base chain, not through the others of the hook). A host whose forward chain denies stays
  closed.
- A port published on 127.0.0.1 is translated for the host's own connections alone (hook output); nothing that arrives
  on a wire is ever translated for 127.0.0.0/8. The bridge needs route_localnet for the answers; what a container sends
  to 127.0.0.0/8 of the host by that door is dropped before it is tracked (CVE-2020-8558), and so is what it sends under
  an address that is not of its network.
- Into a bridge comes only what belongs to a connection that a container began, or to a published port; so networks do
  not reach each other, and a neighbour on the wire who routes packets to a container's address does not get in.
- A container that asks for a published port of its own network (or its own) gets its answer from where it asked: the
  request is masqueraded as the bridge's. (By source, for with br_netfilter there is no incoming interface to compare.)
- An internal network neither reaches the outside nor is reached from it; the host itself can.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from estiba.linux.nftables import Element, concatenate
from estiba.networks.addresses import address_bytes
from estiba.networks.ports import EVERY_ADDRESS, PROTOCOL_NUMBERS, PortMapping
from estiba.values import NamedTuple

_ANY = "published_any"
_AT = "published_at"

# `-100` is `dstnat`, a word that nft 1.0 knows in prerouting only.
_CHAINS = """\
  chain guard {
    type filter hook prerouting priority raw; policy accept;
    iifname @bridges ip daddr 127.0.0.0/8 drop
    iifname @bridges iifname . ip saddr != @sources drop
  }
  chain from_wire {
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr 127.0.0.0/8 return
    fib daddr type local jump published
  }
  chain from_host {
    type nat hook output priority -100; policy accept;
    fib daddr type local jump published
  }
  chain published {
    dnat ip to ip daddr . meta l4proto . th dport map @published_at
    dnat ip to meta l4proto . th dport map @published_any
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname . oifname @within accept
    iifname @internal drop
    oifname @bridges jump inward
  }
  chain inward {
    oifname @internal drop
    ct state established,related accept
    ct status dnat accept
    drop
  }
  chain outward {
    type nat hook postrouting priority srcnat; policy accept;
    oifname != @bridges iifname . ip saddr @sources masquerade
    oifname @bridges ip saddr 127.0.0.0/8 masquerade
    oifname . ip saddr @sources ct status dnat masquerade
  }
"""


class Bridge(NamedTuple):
    """What the rules need to know of a network."""

    device: str
    subnet: str
    internal: bool


class Published(NamedTuple):
    """A port mapping with a fixed host port, and the container's address that it leads to."""

    mapping: PortMapping
    address: str


def table_script(table: str, bridges: Sequence[Bridge], published: Sequence[Published] = ()) -> str:
    """The whole table anew in one transaction: tracked connections and other tables do not notice."""
    internal = [bridge.device for bridge in bridges if bridge.internal]
    anywhere = [port for port in published if port.mapping.host_address == EVERY_ADDRESS]
    somewhere = [port for port in published if port.mapping.host_address != EVERY_ADDRESS]
    target = "ipv4_addr . inet_service"
    sets = [
        _set("bridges", "ifname", [_quoted(bridge.device) for bridge in bridges]),
        _set("internal", "ifname", [_quoted(device) for device in internal]),
        _set("within", "ifname . ifname", [f"{_quoted(b.device)} . {_quoted(b.device)}" for b in bridges]),
        _set("sources", "ifname . ipv4_addr; flags interval", [f"{_quoted(b.device)} . {b.subnet}" for b in bridges]),
        _map(_ANY, f"inet_proto . inet_service : {target}", [_key(port) for port in anywhere]),
        _map(_AT, f"ipv4_addr . inet_proto . inet_service : {target}", [_key_at(port) for port in somewhere]),
    ]
    return f"add table ip {table}\ndelete table ip {table}\ntable ip {table} {{\n{''.join(sets)}{_CHAINS}}}\n"


def element(published: Published) -> Element:
    """The element of the map that leads a published port to its container."""
    mapping = published.mapping
    protocol = struct.pack("B", PROTOCOL_NUMBERS[mapping.protocol])
    outer, inner = struct.pack("!H", mapping.host_port), struct.pack("!H", mapping.container_port)
    target = concatenate(address_bytes(published.address), inner)
    if mapping.host_address == EVERY_ADDRESS:
        return Element(_ANY, concatenate(protocol, outer), target)
    return Element(_AT, concatenate(address_bytes(mapping.host_address), protocol, outer), target)


def _set(name: str, kind: str, elements: Sequence[str]) -> str:
    return f"  set {name} {{ type {kind};{_listed(elements)} }}\n"


def _map(name: str, kind: str, elements: Sequence[str]) -> str:
    return f"  map {name} {{ type {kind};{_listed(elements)} }}\n"


def _listed(elements: Sequence[str]) -> str:
    return f" elements = {{ {', '.join(elements)} }}" if elements else ""


def _key(port: Published) -> str:
    mapping = port.mapping
    return f"{mapping.protocol} . {mapping.host_port} : {port.address} . {mapping.container_port}"


def _key_at(port: Published) -> str:
    return f"{port.mapping.host_address} . {_key(port)}"


def _quoted(device: str) -> str:
    return f'"{device}"'
