"""Keeping the host's interpreter out of a container's reach (CVE-2019-5736).

A container whose program is a script with `#!/proc/self/exe`, or a link to it, makes the runtime execute its own
interpreter once more, now with the container's libraries; the code in there could open /proc/self/exe and, once the
process has ended, write into the host's file. Not where the file was executed through a read-only mount of its own,
which exists nowhere else and which nobody in the container can remount.
"""

from __future__ import annotations

import os
import sys

from estiba.linux import mountpoints as mp

_PATH = "/proc/self/exe"


def is_protected() -> bool:
    """Whether this process was executed through a read-only mount."""
    return bool(os.statvfs(_PATH).f_flag & os.ST_RDONLY)


def open_protected(path: str) -> int:
    """A descriptor of `path` on a read-only mount of its own: what may be executed as ``/proc/self/fd/N``.

    Raises:
        OSError: EPERM without CAP_SYS_ADMIN.
    """
    tree = mp.clone_tree(path, recursive=False)
    try:
        mp.set_attributes(tree, 0x1, 0, recursive=False)
    except OSError:
        os.close(tree)
        raise
    return tree


def protect() -> None:
    """Start this very command again through a protected interpreter, unless that has been done.

    Not done where the caller's rights do not reach: then the file is not ours to write either, or we are in a user
    namespace that could not write it.
    """
    if is_protected():
        return
    try:
        descriptor = open_protected(_PATH)
    except OSError:
        if os.access(_PATH, os.W_OK) and os.geteuid() == 0:
            raise
        return
    launcher = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launcher.py")
    os.execve(descriptor, [sys.executable, "-I", "-S", launcher, *sys.argv[1:]], os.environ)
