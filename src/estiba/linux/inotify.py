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
    in a second.
    """

    def __init__(self, directory: str) -> None:
        self._descriptor = -1
        mask = IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE
        try:
            self._descriptor = checked(libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK), "inotify_init1")
            checked(libc.inotify_add_watch(self._descriptor, os.fsencode(directory), mask), f"watch {directory}")
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
        if self._descriptor < 0:
            poll.poll(int(min(longest, _PAUSE_WITHOUT) * 1000))
            return
        poll.register(self._descriptor, select.POLLIN)
        if not poll.poll(int(longest * 1000)):
            return
        try:
            while os.read(self._descriptor, 1 << 16):
                pass
        except BlockingIOError:
            pass

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
