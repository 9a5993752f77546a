"""Where a server listens, as people write it."""

from __future__ import annotations

import errno
import os
import re
import socket
from typing import NamedTuple

from estiba.errors import Conflict, InvalidInput, PermissionDenied

_ADDRESS = re.compile(r"(?:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]*):)?([0-9]{1,5})")


class Address(NamedTuple):
    """A host and a port; port 0 lets the kernel choose a free one. IPv6 hosts are without brackets."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``HOST:PORT``, ``:PORT`` or ``PORT``; without a host it is 127.0.0.1.

        Raises:
            InvalidInput: another form, or a port over 65535.
        """
        found = _ADDRESS.fullmatch(text)
        if not found or int(found[2]) > 65535:
            raise InvalidInput(
                f"{text!r} is not an address to listen on",
                remedy="Write HOST:PORT, such as 127.0.0.1:5000 or [::1]:5000.",
            )
        return cls((found[1] or "127.0.0.1").strip("[]"), int(found[2]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class UnixAddress(NamedTuple):
    """A socket in the file system at the absolute `path`; `group` is the number of those who may connect beside its
    owner, None for nobody."""

    path: str
    group: int | None = None

    def __str__(self) -> str:
        return self.path


def bind_unix(address: UnixAddress) -> socket.socket:
    """A bound socket, which only its owner and its group may reach; what a killed server left there is replaced.

    Raises:
        Conflict: a server listens there, or the path is another kind of file. PermissionDenied. InvalidInput: no
        such directory.
    """
    directory, name = os.path.split(address.path)
    try:
        os.makedirs(directory, mode=0o755, exist_ok=True)
        place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidInput(f"cannot listen on {address}: {error.strerror}", remedy="Choose another path.") from None
    path = f"/proc/self/fd/{place}/{name}"  # the path itself may be longer than a socket's address
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    umask = os.umask(0o177)
    try:
        _clear(path, address)
        bound.bind(path)
        if address.group is not None:
            os.chown(path, -1, address.group)
            os.chmod(path, 0o660)
    except OSError as error:
        bound.close()
        kind = PermissionDenied if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) else InvalidInput
        raise kind(f"cannot listen on {address}: {error.strerror}", remedy="Choose another path.") from None
    except BaseException:
        bound.close()
        raise
    finally:
        os.umask(umask)
        os.close(place)
    return bound


def _clear(path: str, address: UnixAddress) -> None:
    """Remove a socket on which nobody listens."""
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        probe.connect(path)
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        import stat

        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise Conflict(
                f"cannot listen on {address}: it is a file, not a socket", remedy="Choose another path."
            ) from None
        os.unlink(path)
        return
    finally:
        probe.close()
    raise Conflict(f"cannot listen on {address}: another server does", remedy="Stop it, or choose another path.")
