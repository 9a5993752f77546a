"""A terminal with a command on its far side, as a user has it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence

import pytest


class Terminal:
    """A terminal of its own session, with `command` on its far side."""

    def __init__(self, command: Sequence[str], *, rows: int = 33, columns: int = 99) -> None:
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.seen = b""
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, preexec_fn=self._control
        )

    def _control(self) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def expect(self, text: bytes, *, patience: float = 20) -> bytes:
        """What came up to and with `text`."""
        deadline = time.monotonic() + patience
        while text not in self.seen:
            if not select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0]:
                pytest.fail(f"{text!r} did not come; there was {self.seen!r}")
            self.seen += os.read(self.master, 65536)
        found, _, self.seen = self.seen.partition(text)
        return found + text

    def end(self) -> int:
        code = self.process.wait(timeout=20)
        after = termios.tcgetattr(self.slave)
        assert after == self.before, "the terminal was left changed"
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)
