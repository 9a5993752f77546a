"""The terminal's master end: handed to whoever listens on the console socket, or served by us in the foreground."""

from __future__ import annotations

import _socket
import errno
import os
import struct

from estiba.linux import terminals
from estiba.linux.signals import SIGWINCH, handle
from estiba.runtime.errors import BadBundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def send_to_socket(path: str, *, name: str = "/dev/ptmx", what: str = "console socket") -> Callable[[int], None]:
    """A function that sends a terminal's master end over the unix socket `path` (SCM_RIGHTS), connected already.

    `name` is the message that goes with the descriptor, `what` the socket in an error.

    Raises:
        BadBundle: nobody listens there.
    """
    end = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    # A socket's address holds 108 bytes; through a descriptor any path fits.
    directory = os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        end.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
    except OSError as error:
        raise BadBundle(f"the {what} {path} cannot be reached: {error.strerror}") from None
    finally:
        os.close(directory)

    def send(master: int) -> None:
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", master))]
        end.sendmsg([os.fsencode(name)], rights)
        end.close()
        os.close(master)

    return send


class Foreground:
    """Serves a terminal from our own standard streams until its last slave is closed."""

    __slots__ = ("master",)

    def __init__(self) -> None:
        self.master = -1

    def take(self, master: int) -> None:
        """Get the master end; our own terminal's size becomes its size."""
        self.master = master
        self._resize(0, None)
        handle(SIGWINCH, self._resize)

    def _resize(self, _number: int, _frame: object) -> None:
        try:
            terminals.set_size(self.master, *terminals.size(0))
        except OSError:
            pass  # standard input is no terminal

    def serve(self) -> None:
        """Copy both ways; comes back when the program's side of the terminal is closed by all."""
        import select

        restore = _make_raw(0)
        poll = select.poll()
        poll.register(self.master, select.POLLIN)
        poll.register(0, select.POLLIN)
        try:
            while True:
                for descriptor, _ in poll.poll():
                    if descriptor == 0:
                        data = os.read(0, 4096)
                        if not data:
                            poll.unregister(0)
                            data = b"\x04"
                        _write_all(self.master, data)
                        continue
                    try:
                        data = os.read(self.master, 65536)
                    except OSError as error:
                        if error.errno != errno.EIO:  # EIO: the last slave is closed
                            raise
                        return
                    if not data:
                        return
                    _write_all(1, data)
        finally:
            restore()
            os.close(self.master)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _make_raw(descriptor: int) -> Callable[[], None]:
    if not os.isatty(descriptor):
        return lambda: None
    import termios
    import tty

    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    return lambda: termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
