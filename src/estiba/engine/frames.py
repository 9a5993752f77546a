"""How a command and a monitor talk over a unix socket: frames of one byte of kind, four bytes of length, and content.

    starter ── START ─▶ monitor ── STARTED | FAILED, OUTPUT…, ENDED ─▶ starter
    anybody ── ATTACH | WAIT | SIGNAL | STOP … ─▶ monitor ── DONE, OUTPUT…, ENDED ─▶ anybody

Only the built-in `_socket` is used: the `socket` module would cost more than all that is done with it.
"""

from __future__ import annotations

import _socket
import os
import select
import struct

from estiba.errors import Unavailable
from estiba.oci import json_text
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any, Final

HEADER = struct.Struct("!BI")
LONGEST: Final = 1 << 24
CHUNK: Final = 1 << 16

# To the monitor
START: Final = 1  # JSON: StartRequest; the descriptor of the container's lock travels with its first byte
ATTACH: Final = 2  # JSON: {"input": bool}
INPUT: Final = 3  # bytes for the container's standard input
INPUT_END: Final = 4
RESIZE: Final = 5  # JSON: [rows, columns]
SIGNAL: Final = 6  # JSON: number; answered by DONE
STOP: Final = 7  # JSON: number of the signal; as SIGNAL, and the container is not restarted; answered by DONE
WAIT: Final = 8  # ENDED will follow; JSON {"past"}: and NEWS before it, with those of a moment ago
CONNECT: Final = 9  # JSON: the fields of a Membership; answered by DONE or REFUSED
DISCONNECT: Final = 10  # JSON: a network's name; answered by DONE or REFUSED

# From the monitor
STARTED: Final = 16  # JSON: {"pid": …}
FAILED: Final = 17  # JSON: {"message", "remedy", "exit_code"}
OUTPUT: Final = 18
ERROR_OUTPUT: Final = 19
ENDED: Final = 20  # JSON: {"exit_code", "oom_killed"}
DONE: Final = 21
REFUSED: Final = 22  # JSON: {"message", "remedy"}
NEWS: Final = 23  # JSON: {"action", "about"}, an event in Docker's words; to those who asked for it with WAIT


class Frame(NamedTuple):
    kind: int
    content: bytes

    def json(self) -> Any:
        return json_text.loads(self.content.decode(), what="the content of a frame")


class MonitorGone(Unavailable):
    """The monitor closed the connection before it answered."""


class Decoder:
    """Bytes as they come → whole frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def is_waiting(self) -> bool:
        """Whether the rest of a frame has not come yet."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes.

        Raises:
            ValueError: a frame longer than LONGEST, so the other side does not speak this protocol.
        """
        self._buffer += data
        frames: list[Frame] = []
        while len(self._buffer) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._buffer)
            if length > LONGEST:
                raise ValueError(f"a frame of {length} bytes")
            end = HEADER.size + length
            if len(self._buffer) < end:
                break
            frames.append(Frame(kind, bytes(self._buffer[HEADER.size : end])))
            del self._buffer[:end]
        return frames


def encoded(kind: int, content: bytes | object = b"") -> bytes:
    """A frame as bytes; what is not bytes becomes JSON."""
    data = content if isinstance(content, bytes) else json_text.dumps(content).encode()
    return HEADER.pack(kind, len(data)) + data


class Connection:
    """The blocking end of a command. A context manager that closes it."""

    def __init__(self, socket: _socket.socket) -> None:
        self.socket = socket
        self._decoder = Decoder()
        self._frames: list[Frame] = []

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, kind: int, content: bytes | object = b"", *, descriptor: int | None = None) -> None:
        """Send one frame, with a descriptor beside its first byte.

        Raises:
            MonitorGone: nobody is there any more.
        """
        data = encoded(kind, content)
        try:
            if descriptor is not None:
                rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", descriptor))
                sent = self.socket.sendmsg([data], [rights])
                data = data[sent:]
            while data:
                data = data[self.socket.send(data, _socket.MSG_NOSIGNAL) :]
        except (BrokenPipeError, ConnectionResetError) as error:
            raise MonitorGone("the container's monitor is gone") from error

    def is_ready(self, *, timeout: float | None) -> bool:
        """Whether `receive_available` has something without waiting, after at most `timeout` seconds."""
        if self._frames:
            return True
        poll = select.poll()
        poll.register(self.socket.fileno(), select.POLLIN)
        return bool(poll.poll(None if timeout is None else max(0, int(timeout * 1000))))

    def receive(self) -> Frame:
        """The next frame.

        Raises:
            MonitorGone: the other side closed the connection.
        """
        while not self._frames:
            self._frames = self.receive_available()
        return self._frames.pop(0)

    def receive_with_descriptor(self) -> tuple[Frame, int]:
        """The next frame, and the descriptor that came with it, -1 where none did.

        Raises:
            MonitorGone: the other side closed the connection.
        """
        descriptor = -1
        while not self._frames:
            data, rights, _, _ = self.socket.recvmsg(CHUNK, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
            for level, kind, content in rights:
                if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                    descriptor = struct.unpack("i", content[:4])[0]
            if not data:
                raise MonitorGone("the other side ended without a word")
            self._frames = self._decoder.feed(data)
        return self._frames.pop(0), descriptor

    def release(self) -> tuple[int, Decoder, list[Frame]]:
        """Give the socket's descriptor away, with what has been read from it and was not taken yet."""
        frames, self._frames = self._frames, []
        return self.socket.detach(), self._decoder, frames

    def receive_available(self) -> list[Frame]:
        """The frames that one read brings, which waits for bytes where there are none.

        Raises:
            MonitorGone: the other side closed the connection.
        """
        if self._frames:
            frames, self._frames = self._frames, []
            return frames
        try:
            data = self.socket.recv(CHUNK)
        except ConnectionResetError:
            data = b""
        if not data:
            raise MonitorGone("the container's monitor ended without a word")
        return self._decoder.feed(data)


def pair() -> tuple[Connection, _socket.socket]:
    """A connection and its other end, for a monitor that is being started."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    return Connection(ours), theirs


def connect(directory: str, name: str) -> Connection:
    """Connect to the socket `name` in `directory`, whose path may be longer than an address of a socket.

    Raises:
        MonitorGone: nobody listens.
    """
    try:
        descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise MonitorGone(f"there is no monitor at {directory}") from error
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        socket.connect(f"/proc/self/fd/{descriptor}/{name}")
    except (FileNotFoundError, ConnectionRefusedError) as error:
        socket.close()
        raise MonitorGone(f"no monitor answers at {directory}/{name}") from error
    finally:
        os.close(descriptor)
    return Connection(socket)


def listen(directory: str, name: str, *, backlog: int = 64) -> _socket.socket:
    """A socket that listens at `name` in `directory`, only for its owner; what a killed process left is replaced."""
    try:
        os.unlink(f"{directory}/{name}")
    except FileNotFoundError:
        pass
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
    try:
        socket.bind(f"/proc/self/fd/{descriptor}/{name}")
        os.chmod(f"{directory}/{name}", 0o600)
        socket.listen(backlog)
    except OSError:
        socket.close()
        raise
    finally:
        os.close(descriptor)
    return socket


def accept(listener: _socket.socket) -> _socket.socket:
    """The next connection of a listening socket.

    Raises:
        BlockingIOError: there is none yet.
    """
    descriptor, _ = listener._accept()  # type: ignore[attr-defined]  # what socket.accept() calls, unknown to typeshed
    return _socket.socket(fileno=descriptor)
