"""Ports of the host, taken by binding a socket: that is how every program learns whether a port is free.

The socket is held as long as the process lives that attached the container, and listens, so that a program started
later is told that the port is in use, and `ss -l` shows by whom. Nothing is ever accepted: packets are translated
before they reach it. When the process dies, the kernel gives the port back.
"""

from __future__ import annotations

import _socket
import errno
import os
from collections.abc import Sequence

from estiba.errors import Conflict, InvalidInput, PermissionDenied
from estiba.networks.ports import PortMapping, collide

_FREE_PORT_ATTEMPTS = 32


class PortTaken(Conflict):
    def __init__(self, mapping: PortMapping, holder: str) -> None:
        super().__init__(
            f"port {mapping.host_port}/{mapping.protocol} of {mapping.host_address} is in use by {holder}",
            remedy="Publish another port of the host, or leave its number out to get a free one.",
        )


class Reservation:
    """One port of the host, bound by this process."""

    def __init__(self, mapping: PortMapping, bound: _socket.socket) -> None:
        self.mapping = mapping
        self._socket = bound

    def listen(self) -> None:
        """Make the reservation one that every other program sees. UDP sockets need nothing more."""
        if self.mapping.protocol == "tcp":
            self._socket.listen(0)

    def close(self) -> None:
        self._socket.close()


def reserve(mapping: PortMapping, others: Sequence[tuple[PortMapping, str]]) -> Reservation:
    """Bind the port of `mapping`; host port 0 becomes a free one.

    `others` are ports that containers have although no socket may show it (their owner died), with the holder's name.

    Raises:
        PortTaken: another process or container has it; the message names it.
        InvalidInput: the host does not have that address.
        PermissionDenied: a port below 1024 without the right to bind it.
    """
    for other, holder in others:
        if collide(mapping, other):
            raise PortTaken(mapping, holder)
    for _ in range(_FREE_PORT_ATTEMPTS):
        bound = _bind(mapping)
        chosen = mapping._replace(host_port=bound.getsockname()[1])
        if not any(collide(chosen, other) for other, _ in others):
            return Reservation(chosen, bound)
        bound.close()
    raise PortTaken(mapping, "containers, wherever a free one was looked for")


def _bind(mapping: PortMapping) -> _socket.socket:
    kind = _socket.SOCK_STREAM if mapping.protocol == "tcp" else _socket.SOCK_DGRAM
    made = _socket.socket(_socket.AF_INET, kind)
    try:
        if mapping.protocol == "tcp":  # old connections in TIME_WAIT are no reason to refuse; listeners still are
            made.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        made.bind((mapping.host_address, mapping.host_port))
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(mapping, _holder(mapping)) from None
        if error.errno == errno.EADDRNOTAVAIL:
            raise InvalidInput(
                f"this host does not have the address {mapping.host_address}, on which {mapping} is to be published",
                remedy="Use an address that `ip address` shows, 127.0.0.1, or 0.0.0.0 for all of them.",
            ) from None
        if error.errno == errno.EACCES:
            raise PermissionDenied(
                f"this user may not bind port {mapping.host_port}",
                remedy="Publish a port from 1024 on, or run as root.",
            ) from None
        raise
    return made


def _holder(mapping: PortMapping) -> str:
    """Who listens on a port: ``nginx (process 812)``; as much of it as this user may see."""
    inodes = {inode for table in (mapping.protocol, mapping.protocol + "6") for inode in _inodes(table, mapping)}
    for name in os.listdir("/proc") if inodes else ():
        if name.isdigit() and _holds(name, inodes):
            return f"{_program(name)} (process {name})"
    return "another process"


def _inodes(table: str, mapping: PortMapping) -> set[str]:
    """The inodes of the sockets bound to the port (proc_pid_net(5): field 2 is ADDRESS:PORT, field 10 the inode)."""
    try:
        with open(f"/proc/self/net/{table}", encoding="ascii") as file:
            rows = [line.split() for line in file.readlines()[1:]]
    except OSError:
        return set()
    port = f"{mapping.host_port:04X}"
    listening = "0A" if mapping.protocol == "tcp" else "07"
    return {row[9] for row in rows if row[1].endswith(":" + port) and row[3] == listening and row[9] != "0"}


def _holds(pid: str, inodes: set[str]) -> bool:
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            if target.startswith("socket:[") and target[8:-1] in inodes:
                return True
    except OSError:  # it ended, or belongs to another user
        return False
    return False


def _program(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "a program"
