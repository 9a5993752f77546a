"""Being told when something in a directory changes (inotify(7))."""

from __future__ import annotations

import os

from estiba.linux.libc import checked, libc

IN_MODIFY = 0x00000002
IN_CLOSE_WRITE = 0x00000008
IN_MOVED_TO = 0x00000080
IN_CREATE = 0x00000100
IN_DELETE = 0x00000200


class DirectoryWatch:
    """`descriptor` becomes readable when a file in `directory` is written, closed, made, moved there or deleted.

    A context manager.
    """

    def __init__(self, directory: str) -> None:
        self.descriptor = checked(libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK), "inotify_init1")
        mask = IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE
        try:
            checked(libc.inotify_add_watch(self.descriptor, os.fsencode(directory), mask), f"watch {directory}")
        except OSError:
            os.close(self.descriptor)
            raise

    def __enter__(self) -> DirectoryWatch:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def clear(self) -> None:
        """Forget what has happened so far."""
        try:
            while os.read(self.descriptor, 1 << 16):
                pass
        except BlockingIOError:
            pass
