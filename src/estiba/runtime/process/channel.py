"""The channel between the parent and the processes of the chain: whole messages, each a letter and its content.

M        intermediate: I am in a new user namespace, map my ids         m   parent: done
O        intermediate: my children will be in a new time namespace   o   parent: its clocks are moved
P pid    intermediate: this is the init process
T + fd   init: the master end of the terminal
R        init: the root filesystem stands; run the hooks                 G   parent: go on
S + fd   init: the descriptor that hears of system calls           s   parent: its listener has it
D        init: all is ready; I wait for `start` (or: I become the program now)
X json   anyone below: I failed, and this is why
(end)    exec: the program has begun, since the channel closes with the exec
"""

from __future__ import annotations

import _socket
import os
import struct

from estiba.errors import CommandFailed, EstibaError
from estiba.oci import json_text
from estiba.runtime.errors import InitFailed

_LARGEST = 1 << 17


class Channel:
    """One end of the channel."""

    __slots__ = ("_socket",)

    def __init__(self, end: _socket.socket) -> None:
        self._socket = end

    def send(self, kind: str, content: bytes = b"", descriptor: int | None = None) -> None:
        """Send one message, with at most one descriptor."""
        ancillary = []
        if descriptor is not None:
            ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", descriptor))]
        self._socket.sendmsg([kind.encode() + content], ancillary)

    def receive(self) -> tuple[str, bytes, int | None]:
        """The next message: letter, content, descriptor. The letter is "" when the other end is closed."""
        arguments = (_LARGEST, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
        try:
            data, ancillary, _, _ = self._socket.recvmsg(*arguments)
        except ConnectionResetError:
            # The other end was closed with an answer of ours unread: the kernel says so once, before what came from it.
            data, ancillary, _, _ = self._socket.recvmsg(*arguments)
        descriptor = None
        for level, kind, content in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                descriptor = struct.unpack("i", content[:4])[0]
        return data[:1].decode(), data[1:], descriptor

    def expect(self, wanted: str) -> bytes:
        """The content of the next message, which must be `wanted`; else this process has nobody to work for."""
        kind, content, _ = self.receive()
        if kind != wanted:
            os._exit(1)
        return content

    def fail(self, error: BaseException) -> None:
        """Tell the parent why we end."""
        code = error.exit_code if isinstance(error, CommandFailed) else 125
        message = str(error)
        if isinstance(error, KeyError):
            message = f"the configuration is not of the spec's shape: it lacks {error}"
        elif not isinstance(error, (EstibaError, OSError)):
            message = f"{type(error).__name__}: {error}"
        try:
            self.send("X", json_text.dumps({"message": message, "code": code}).encode())
        except OSError:
            pass

    def is_open(self) -> bool:
        """Whether this end has not been closed by us."""
        return self._socket.fileno() >= 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()


def make_channel() -> tuple[Channel, Channel]:
    """Both ends."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    return Channel(ours), Channel(theirs)


def failure(content: bytes) -> InitFailed:
    """The error of an X message."""
    document = json_text.loads(content.decode(), what="the message of the init process")
    return InitFailed(document["message"], exit_code=document["code"])
