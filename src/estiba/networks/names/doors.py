"""The two sockets that a container's questions come to, opened once in its network namespace."""

from __future__ import annotations

import _socket

from estiba.errors import EstibaError
from estiba.linux import netns, nftables
from estiba.networks.resolver import NAME_SERVER
from estiba.values import NamedTuple

PORT = 53
_BACKLOG = 16


class Doors(NamedTuple):
    """For UDP and for TCP; neither waits."""

    datagrams: _socket.socket
    streams: _socket.socket

    def close(self) -> None:
        for socket in self:
            socket.close()


def opened(netns_fd: int) -> Doors:
    """Open them in the namespace `netns_fd`.

    They have ports of their own, to which the packet filter leads what is sent to the usual one: a container that is a
    name server itself finds that one free. Without a packet filter they are at the usual one.

    Raises:
        OSError: the namespace cannot be entered, or there is no room for a socket.
    """
    with netns.Inside(netns_fd):
        doors = _bound(0)
        try:
            nftables.run_script(_rules(*(socket.getsockname()[1] for socket in doors)))
        except EstibaError:
            doors.close()
            doors = _bound(PORT)
        except BaseException:
            doors.close()
            raise
    return doors


def _bound(port: int) -> Doors:
    made: list[_socket.socket] = []
    try:
        for kind in (_socket.SOCK_DGRAM, _socket.SOCK_STREAM):
            socket = _socket.socket(_socket.AF_INET, kind | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
            made.append(socket)
            socket.bind((NAME_SERVER, port))
        made[1].listen(_BACKLOG)
    except BaseException:
        for socket in made:
            socket.close()
        raise
    return Doors(*made)


def _rules(datagrams: int, streams: int) -> str:
    return f"""table ip estiba_names {{
  chain questions {{
    type nat hook output priority -100; policy accept;
    ip daddr {NAME_SERVER} udp dport {PORT} dnat to {NAME_SERVER}:{datagrams}
    ip daddr {NAME_SERVER} tcp dport {PORT} dnat to {NAME_SERVER}:{streams}
  }}
}}
"""
