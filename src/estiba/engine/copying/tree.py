"""Paths of one side: below a root that may be hostile (a container's) or is the user's own (the host's).

A hostile tree is only walked by openat2 inside its root, links of procfs refused, and what is found is used through
descriptors, so that a name which is exchanged meanwhile leads nowhere else (CVE-2018-15664).
"""

from __future__ import annotations

import errno
import os
import stat

from estiba.engine.copying.plan import Found, must_be_directory
from estiba.errors import InvalidInput, NotFound
from estiba.linux.paths import IN_ROOT, open_in_root

_MOST_LINKS = 40
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


class Side:
    """One side: `root` is a descriptor of its root directory, `name` what messages call it."""

    def __init__(self, root: int, name: str) -> None:
        self.root = root
        self.name = name

    def find(self, path: str, *, follows: bool) -> Found:
        """What lies at `path` (absolute here); with `follows` a link at its end is followed too.

        Where the last name is ``..``, or the path is the root, `resolved` is a directory for `directory` alone: a last
        name must not be taken from it.

        Raises:
            NotFound: a directory on the way is missing. InvalidInput: too many links.
        """
        clean = "/" + path.strip("/")
        for _ in range(_MOST_LINKS):
            above, _, last = _stripped(clean).rpartition("/")
            if not last or last == "..":
                whole = _stripped(clean) or "/"
                os.close(self.directory(whole))
                return Found(whole, True, True)
            directory = self.directory(above or "/")
            try:
                status = os.stat(last, dir_fd=directory, follow_symlinks=False)
                is_link = stat.S_ISLNK(status.st_mode)
                target = os.readlink(last, dir_fd=directory) if is_link else ""
            except FileNotFoundError:
                return Found(f"{above}/{last}", False)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                continue  # no link any more
            finally:
                os.close(directory)
            if not is_link or not (follows or must_be_directory(path)):
                return Found(f"{above}/{last}", True, stat.S_ISDIR(status.st_mode))
            clean = target if target.startswith("/") else f"{above}/{target}"
        raise InvalidInput(f"{path}: too many links")

    def directory(self, path: str) -> int:
        """A descriptor of a directory, links followed inside the root.

        Raises:
            NotFound: it is missing, or no directory.
        """
        try:
            return open_in_root(self.root, path, _DIRECTORY, resolve=IN_ROOT)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EACCES):
                raise
            reason = os.strerror(error.errno).lower()
            raise NotFound(
                f"{self.name} has no directory {path}: {reason}", remedy="Check the path, or make the directory first."
            ) from None


def _stripped(path: str) -> str:
    """Without slashes and dots at the end, and with one slash at the beginning."""
    names = [name for name in path.split("/") if name not in ("", ".")]
    return "/" + "/".join(names) if names else ""
