"""The id maps of a new user namespace (user_namespaces(7)): written by us, or by newuidmap for an ordinary user."""

from __future__ import annotations

import os

from estiba.errors import Unavailable
from estiba.runtime.errors import BadBundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Mappings = Sequence[dict[str, int]]

_HELPER_DIRECTORIES = ("/usr/bin", "/bin", "/usr/local/bin")


def write(pid: int, maps: tuple[Mappings, Mappings] | None) -> None:
    """Give process `pid`, which has just made a user namespace, its users and groups.

    An ordinary user may map the own id alone; more (of /etc/subuid) takes the set-id helpers of the package uidmap.

    Raises:
        BadBundle: the kernel or the helper refused the map.
        Unavailable: a helper is needed and missing.
    """
    if maps is None:
        raise BadBundle("a new user namespace needs linux.uidMappings and linux.gidMappings")
    users, groups = maps
    if os.geteuid() == 0 or (_is_own(users, os.geteuid()) and _is_own(groups, os.getegid())):
        if os.geteuid() != 0:
            _write_file(f"/proc/{pid}/setgroups", "deny")  # else the kernel lets no ordinary user map groups
        _write_file(f"/proc/{pid}/gid_map", _text(groups))
        _write_file(f"/proc/{pid}/uid_map", _text(users))
        return
    _run_helper("newgidmap", pid, groups)
    _run_helper("newuidmap", pid, users)


def _is_own(mappings: Mappings, own: int) -> bool:
    return len(mappings) == 1 and mappings[0]["hostID"] == own and mappings[0]["size"] == 1


def _text(mappings: Mappings) -> str:
    return "".join(f"{m['containerID']} {m['hostID']} {m['size']}\n" for m in mappings)


def _write_file(name: str, text: str) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise BadBundle(f"the id map {text.strip()!r} was refused: {os.strerror(error.errno or 0)}") from None
    finally:
        os.close(descriptor)


def _run_helper(name: str, pid: int, mappings: Mappings) -> None:
    places = (os.path.join(directory, name) for directory in _HELPER_DIRECTORIES)
    helper = next((place for place in places if os.access(place, os.X_OK)), None)
    if helper is None:
        raise Unavailable(f"{name} is needed to map more than the own id", remedy="Install the package uidmap.")
    helper_pid = os.posix_spawn(helper, [name, str(pid), *_text(mappings).split()], {})
    code = os.waitstatus_to_exitcode(os.waitpid(helper_pid, 0)[1])
    if code:
        kind = "subuid" if name == "newuidmap" else "subgid"
        raise BadBundle(
            f"{name} refused the id map {_text(mappings).strip()!r}",
            remedy=f"The ids must be in /etc/{kind} for this user.",
        )
