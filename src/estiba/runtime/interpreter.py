"""Keeping the host's interpreter out of a container's reach (CVE-2019-5736).

A container whose program is a script with `#!/proc/self/exe`, or a link to it, makes the runtime execute its own
interpreter once more, now with the container's libraries; the code in there could open /proc/self/exe and, once the
process has ended, write into the host's file. Not where the file was executed through a read-only mount of its own,
which exists nowhere else and which nobody in the container can remount.
"""

from __future__ import annotations

import fcntl
import os
import sys

from estiba.linux import mountpoints as mp

_PATH = "/proc/self/exe"


def is_protected() -> bool:
    """Whether this process was executed through a read-only mount, or from a sealed copy."""
    if os.statvfs(_PATH).f_flag & os.ST_RDONLY:
        return True
    descriptor = os.open(_PATH, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return bool(fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE)
    except OSError:
        return False  # only anonymous files have seals
    finally:
        os.close(descriptor)


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


def protected(path: str) -> tuple[str, tuple[int, ...]]:
    """What to execute in place of the interpreter `path`, and what must stay open until that is done.

    It is `path` itself, and nothing, where the right to mount is missing: the new process decides what that means.
    """
    try:
        descriptor = open_protected(path)
    except OSError:
        return path, ()
    return f"/proc/self/fd/{descriptor}", (descriptor,)


def protect() -> None:
    """Start this very command again through a protected interpreter, unless that has been done.

    Without the right to mount, through a sealed copy in memory; and not at all where the file is not ours to write.
    """
    if is_protected():
        return
    try:
        descriptor = open_protected(_PATH)
    except OSError:
        if not os.access(_PATH, os.W_OK):
            return
        descriptor = _sealed_copy()
    launcher = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launcher.py")
    os.execve(descriptor, [sys.executable, "-I", "-S", launcher, *sys.argv[1:]], os.environ)


def _sealed_copy() -> int:
    """The interpreter in an anonymous file that nobody can change any more."""
    descriptor = os.memfd_create("interpreter", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    reading = os.open(_PATH, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while os.sendfile(descriptor, reading, None, 1 << 24):
            pass
    finally:
        os.close(reading)
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor
