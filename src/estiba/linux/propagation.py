"""How mounts of the host travel: what the kernel says of the mount that a path lies on (mount_namespaces(7))."""

from __future__ import annotations

import os

from estiba.errors import InvalidInput


def check(path: str, *, wants_shared: bool) -> None:
    """Raise InvalidInput where mounts below `path` do not travel from the host, or with `wants_shared` not to it."""
    place, words = _mount_above(os.path.realpath(path))
    is_shared = any(word.startswith("shared:") for word in words)
    if is_shared or (not wants_shared and any(word.startswith("master:") for word in words)):
        return
    kind = "shared" if wants_shared else "shared or slave"
    raise InvalidInput(
        f"{path} lies on {place}, which is not a {kind} mount, so nothing would travel",
        remedy=f"Make it one (mount --make-shared {place}), or leave the propagation out.",
    )


def _mount_above(path: str) -> tuple[str, list[str]]:
    """The place of the mount that `path` lies on, and its optional fields (proc_pid_mountinfo(5))."""
    best, words = "", []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split(" ")
            place = fields[4].replace("\\040", " ")
            if (path + "/").startswith(place.rstrip("/") + "/") and len(place) >= len(best):
                best, words = place, fields[6 : fields.index("-")]
    return best, words
