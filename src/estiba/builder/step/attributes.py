"""Extended attributes that belong to a file's content, from one descriptor to another (those that a layer keeps)."""

from __future__ import annotations

import errno
import os

_KEPT = ("security.capability", "system.posix_acl_access", "system.posix_acl_default")


def copy_attributes(source: int, target: int) -> None:
    """Give `target` the attributes of `source`; after its owner, mode and content, which would drop capabilities.

    Without privileges those that need some are left out, as the owner is.

    Raises:
        OSError: the filesystem does not take one.
    """
    try:
        names = os.listxattr(source)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return
        raise
    for name in names:
        if name in _KEPT or (name.startswith("user.") and not name.startswith("user.overlay.")):
            try:
                os.setxattr(target, name, os.getxattr(source, name))
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EACCES) or os.geteuid() == 0:
                    raise
