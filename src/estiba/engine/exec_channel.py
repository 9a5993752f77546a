"""How a command and a monitor talk of one more process in the container: whole messages over a socket of its own.

E + 4 descriptors   command: run what the first describes (`ExecOptions`), with the others as its standard streams
T + descriptor      joiner: the master end of its terminal
P pid + descriptor  joiner: the program has begun; the descriptor is of its process (pidfd)
X json              joiner, monitor: it could not be started, and why: message, remedy, exit_code
E code              monitor: it has ended, with the shell's exit code
N                   monitor: let the runtime do it
(end)               the monitor is gone, or does not take it in any more

A monitor that is older than this, or whose runtime is another's, has no such socket.
"""

from __future__ import annotations

import _socket
import os
import struct

from estiba.oci import json_text
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

REQUEST, TERMINAL, BEGUN, FAILED, ENDED, NOT_HERE = b"E", b"T", b"P", b"X", b"E", b"N"
DESCRIPTORS = 4
LONGEST = 1 << 16
_LONGEST_TOLD = 1 << 13
_PEER = struct.Struct("iII")


class Message(NamedTuple):
    """One message. `kind` is empty at the end of the connection; the receiver closes the `descriptors`."""

    kind: bytes
    content: bytes
    descriptors: tuple[int, ...]


def connect(directory: str, name: str) -> _socket.socket | None:
    """A connection to the socket `name` in `directory`; None where nobody listens, or not to us."""
    try:
        place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{place}/{name}")
    except (FileNotFoundError, ConnectionRefusedError, PermissionError):
        connection.close()
        return None
    finally:
        os.close(place)
    return connection


def listen(directory: str, name: str) -> _socket.socket:
    """A socket that listens at `name` in `directory`, which only its owner may enter."""
    place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    kind = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
    listener = _socket.socket(_socket.AF_UNIX, kind)
    try:
        listener.bind(f"/proc/self/fd/{place}/{name}")
        os.chmod(f"{directory}/{name}", 0o600)
        listener.listen(256)
    except OSError:
        listener.close()
        raise
    finally:
        os.close(place)
    return listener


def peer_user(connection: _socket.socket) -> int:
    """The user who has connected; the kernel's overflow id where that is nobody in our user namespace."""
    user: int = _PEER.unpack(connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _PEER.size))[1]
    return user


def send(connection: _socket.socket, kind: bytes, content: bytes = b"", descriptors: tuple[int, ...] = ()) -> bool:
    """Send one message without waiting; False where the other end is gone, or has read nothing for long."""
    rights = []
    if descriptors:
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack(f"{len(descriptors)}i", *descriptors))]
    try:
        connection.sendmsg([kind + content], rights, _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT)
    except (BrokenPipeError, ConnectionResetError, BlockingIOError):
        return False
    return True


def receive(connection: _socket.socket) -> Message:
    """The next message.

    Raises:
        BlockingIOError: there is none yet, and the socket does not wait.
    """
    space = _socket.CMSG_SPACE(4 * DESCRIPTORS)
    try:
        data, rights, _, _ = connection.recvmsg(LONGEST, space, _socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        return Message(b"", b"", ())
    descriptors: tuple[int, ...] = ()
    for level, kind, content in rights:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            descriptors += struct.unpack(f"{len(content) // 4}i", content)
    return Message(data[:1], data[1:], descriptors)


def failure(message: str, *, remedy: str, exit_code: int) -> bytes:
    """The content of FAILED; a program's name of a megabyte is not told to its end."""
    told = {"message": message[:_LONGEST_TOLD], "remedy": remedy[:_LONGEST_TOLD], "exit_code": exit_code}
    return json_text.dumps(told).encode()


def facts(content: bytes) -> dict[str, Any]:
    """What `failure` told."""
    told: dict[str, Any] = json_text.loads(content.decode(), what="the monitor's answer")
    return told
