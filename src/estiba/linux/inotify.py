"""Being told when something in a directory changes (inotify(7))."""

from __future__ import annotations

import errno
import os
import select

from estiba.linux.libc import checked, libc

IN_MODIFY = 0x00000002
IN_CLOSE_WRITE = 0x00000008
IN_MOVED_TO = 0x00000080
IN_CREATE = 0x00000100
IN_DELETE = 0x00000200


_NO_WATCH_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOSPC)
_PAUSE_WITHOUT = 0.1


class DirectoryWatch:
    """Tells when a file in `directory` is written, closed, made, moved there or deleted. A context manager.

    The kernel gives a user so many watches; where others have taken them all, it is as if something happened ten times
    in a second, and `descriptor` is -1; else it becomes readable when something has happened.
    """

    def __init__(self, directory: str) -> None:
        self.descriptor = -1
        mask = IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE
        try:
            self.descriptor = checked(libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK), "inotify_init1")
            checked(libc.inotify_add_watch(self.descriptor, os.fsencode(directory), mask), f"watch {directory}")
        except OSError as error:
            self._close()
            if error.errno not in _NO_WATCH_LEFT:
                raise

    def __enter__(self) -> DirectoryWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def wait(self, longest: float) -> None:
        """Until something happens, or `longest` seconds have passed."""
        poll = select.poll()
        if self.descriptor < 0:
            poll.poll(int(min(longest, _PAUSE_WITHOUT) * 1000))
            return
        poll.register(self.descriptor, select.POLLIN)
        if poll.poll(int(longest * 1000)):
            self.clear()

    def clear(self) -> None:
        """Forget what has happened."""
        try:
            while self.descriptor >= 0 and os.read(self.descriptor, 1 << 16):
                pass
        except BlockingIOError:
            pass

    def _close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
