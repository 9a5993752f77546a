"""What the kernel says no to, in words: the seam between the calls of `linux` and the errors of this room."""

from __future__ import annotations

import errno

from estiba.errors import EstibaError, PermissionDenied, Unavailable


class Explained:
    """Within the `with` block, an `OSError` of the kernel becomes the error that the user gets."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, OSError):
            raise explain(error) from error


def explain(error: OSError) -> EstibaError:
    """The error to raise instead of `error`, whose text names what was asked of the kernel."""
    if error.errno in (errno.EPERM, errno.EACCES):
        return PermissionDenied(
            f"the kernel does not let this user build container networks: {error.strerror}",
            remedy="Run as root, or use --network host or none; networks for other users are not there yet.",
        )
    if error.errno in (errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT):
        return Unavailable(
            f"this kernel has no support for container networks: {error.strerror}",
            remedy="It needs the modules bridge, veth and nf_tables; `estiba doctor` says which is missing.",
        )
    return Unavailable(
        f"a container network could not be set up: {error.strerror or error}",
        remedy="`estiba doctor` checks what networks need of this machine.",
    )
