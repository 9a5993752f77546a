"""The commands that talk with a monitor: each a socket, what it wants, and what waits to be sent to it."""

from __future__ import annotations

import _socket

from estiba.engine.frames import CHUNK, Decoder, Frame, encoded
from estiba.engine.monitor.loop import READ, WRITE, Loop
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MOST_WAITING = 1 << 20
"""When so many bytes wait for one client, the container's output is read no further until it has caught up."""


class Client:
    """One connection. `wants_output` and `gives_input` are what it attached for,
    `wants_news` that it hears what happens to the container before its end: health, and restarts by its policy."""

    def __init__(
        self,
        socket: _socket.socket,
        loop: Loop,
        on_frame: Callable[[Client, Frame], None],
        *,
        on_change: Callable[[Client], None],
    ) -> None:
        socket.setblocking(False)
        self.socket = socket
        self.wants_output = False
        self.gives_input = False
        self.wants_news = False
        self.is_open = True
        self.is_heard = True
        self._loop = loop
        self._decoder = Decoder()
        self._on_frame = on_frame
        self._on_change = on_change
        self._waiting = bytearray()
        self._update()

    @property
    def is_behind(self) -> bool:
        return len(self._waiting) > MOST_WAITING

    @property
    def has_waiting(self) -> bool:
        return bool(self._waiting)

    def state(self) -> dict[str, Any] | None:
        """What another program needs to go on with the connection; None while something is on its way."""
        if self._waiting or self._decoder.is_waiting or not self.is_heard:
            return None
        return {
            "descriptor": self.socket.fileno(),
            "wants_output": self.wants_output,
            "gives_input": self.gives_input,
            "wants_news": self.wants_news,
        }

    def send(self, kind: int, content: bytes | object = b"") -> None:
        """Send a frame, now or when the client takes it."""
        if self.is_open:
            self._waiting += encoded(kind, content)
            self._flush()

    def listen(self, wanted: bool) -> None:
        """Whether to read what the client sends; it waits while we do not."""
        self.is_heard = wanted
        self._update()

    def close(self) -> None:
        """Forget the client and close its socket."""
        if self.is_open:
            self.is_open = False
            self._waiting.clear()
            self._loop.forget(self.socket.fileno())
            self.socket.close()
            self._on_change(self)

    def _update(self) -> None:
        mask = (READ if self.is_heard else 0) | (WRITE if self._waiting else 0)
        self._loop.watch(self.socket.fileno(), mask, self._ready)

    def _ready(self, events: int) -> None:
        if events & WRITE:
            was_behind = self.is_behind
            self._flush()
            if was_behind and not self.is_behind:
                self._on_change(self)
        if self.is_open and events & ~WRITE:
            self._read()

    def _read(self) -> None:
        try:
            data = self.socket.recv(CHUNK)
            frames = self._decoder.feed(data)
        except BlockingIOError:
            return
        except (ConnectionResetError, ValueError):
            data, frames = b"", []
        for frame in frames:
            self._on_frame(self, frame)
        if not data:
            self.close()

    def _flush(self) -> None:
        try:
            while self._waiting:
                sent = self.socket.send(self._waiting[:CHUNK], _socket.MSG_NOSIGNAL)
                del self._waiting[:sent]
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            self.close()
            return
        self._update()
