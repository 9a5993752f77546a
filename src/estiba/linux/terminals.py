"""Pseudo terminals: a new pair out of a given devpts instance, its size, and the controlling terminal."""

from __future__ import annotations

import fcntl
import os
import struct

from estiba.errors import InvalidInput
from estiba.linux.filesystems import DEVPTS, filesystem_type
from estiba.linux.paths import open_in_root

_TIOCGPTN = 0x80045430
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441
_TIOCSWINSZ = 0x5414
_TIOCGWINSZ = 0x5413
_TIOCSCTTY = 0x540E


def open_pair(root_fd: int) -> tuple[int, int, str]:
    """A pseudo terminal of the devpts mounted at /dev/pts below a root: (master, slave, slave's path in there).

    The slave is opened through the master (TIOCGPTPEER), so no name in the tree can lead elsewhere.

    Raises:
        InvalidInput: /dev/pts is no devpts.
    """
    master = open_in_root(root_fd, "/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
    if filesystem_type(master) != DEVPTS:
        os.close(master)
        raise InvalidInput("a terminal needs a devpts mounted on /dev/pts")
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    number = struct.unpack("I", fcntl.ioctl(master, _TIOCGPTN, b"\0\0\0\0"))[0]
    slave = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    return master, slave, f"/dev/pts/{number}"


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Tell the terminal its size in characters."""
    fcntl.ioctl(terminal, _TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def size(terminal: int) -> tuple[int, int]:
    """The size of a terminal: rows, columns."""
    rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(terminal, _TIOCGWINSZ, bytes(8)))
    return rows, columns


def take_control(terminal: int) -> None:
    """Make `terminal` the controlling one of this session, whose leader we must be."""
    fcntl.ioctl(terminal, _TIOCSCTTY, 0)
