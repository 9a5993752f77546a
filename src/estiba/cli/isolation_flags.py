"""Docker's flags for what of the machine a container sees → values. Loaded only where one of them is given."""

from __future__ import annotations

import posixpath

from estiba.engine.options import Device, Shared
from estiba.engine.spec import cgroups_path, device_rule
from estiba.errors import InvalidInput, NotFound, NotThereYet
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

_LARGEST_PROFILE = 1 << 20


def devices(texts: list[str]) -> tuple[Device, ...]:
    """``HOST[:CONTAINER][:ACCESS]`` each.

    Raises:
        InvalidInput: a path that is none, or leads astray; an access other than of r, w and m.
        NotThereYet: a device of the Container Device Interface.
    """
    return tuple(_device(text) for text in texts)


def _device(text: str) -> Device:
    host, *rest = text.split(":")
    if not host.startswith("/") and "=" in host:
        raise NotThereYet(
            f"--device {text}: devices of the Container Device Interface are not there yet",
            remedy="Give the path of the device itself, such as /dev/dri.",
        )
    access = rest.pop() if rest and _is_access(rest[-1]) else "rwm"
    container = rest.pop(0) if rest else host
    if rest or not access:
        raise InvalidInput(
            f"invalid device {text!r}: the access {(rest or [access])[-1]!r} is not of r, w and m",
            remedy="Write HOST[:CONTAINER[:ACCESS]], such as /dev/fuse:/dev/fuse:rw.",
        )
    for path in (host, container):
        if not path.startswith("/") or ".." in path.split("/") or "\0" in path:
            raise InvalidInput(
                f"invalid device {text!r}: {path!r} is no plain absolute path", remedy="Write such as /dev/fuse."
            )
    found = Device(_plain(host), _plain(container), access)
    if found.container == "/" or (found.container + "/").startswith(("/proc/", "/sys/")):
        raise InvalidInput(
            f"invalid device {text!r}: there can be none at {found.container} in a container",
            remedy="Choose a place below /dev.",
        )
    return found


def _is_access(text: str) -> bool:
    return bool(text) and len(set(text)) == len(text) and not set(text) - set("rwm")


def _plain(path: str) -> str:
    return "/" + posixpath.normpath(path).lstrip("/")


def device_rules(texts: list[str]) -> tuple[str, ...]:
    """Rules such as ``c 1:3 rwm``.

    Raises:
        InvalidInput: it is no rule.
    """
    for text in texts:
        device_rule(text)
    return tuple(texts)


def cgroup_parent(text: str | None) -> str:
    """Raises InvalidInput for a path that leads out of its place."""
    cgroups_path(text or "", "id")
    return text or ""


def shared(arguments: argparse.Namespace) -> Shared:
    """What the container has together with the host or with others.

    Raises:
        InvalidInput: a mode that is none, or one that contradicts another flag.
    """
    found = Shared(
        pid=_mode("pid", arguments.pid, ("host",), joins=True),
        ipc=_mode("ipc", arguments.ipc, ("host", "private", "shareable", "none"), joins=True),
        uts=_mode("uts", arguments.uts, ("host",)),
        cgroup=_mode("cgroupns", arguments.cgroupns, ("host", "private")),
    )
    if found.uts == "host" and (arguments.hostname or arguments.domainname):
        raise InvalidInput(
            "--uts host contradicts --hostname and --domainname: they would change the host's",
            remedy="Leave one of them out.",
        )
    return found


def _mode(flag: str, text: str | None, words: tuple[str, ...], *, joins: bool = False) -> str:
    kind, colon, name = (text or "").partition(":")
    if not text or (not colon and kind in words) or (joins and kind == "container" and name):
        return text or ""
    known = (*words, *(("container:NAME",) if joins else ()))
    raise InvalidInput(f"invalid --{flag} {text!r}", remedy=f"Choose {' or '.join(known)}.")


def seccomp(value: str) -> str:
    """What follows ``seccomp=``: ``unconfined``, ``builtin``, or a file, whose text is given back once it is checked.

    Raises:
        NotFound: there is no such file. InvalidInput: it is no profile.
    """
    if value == "unconfined":
        return value
    if value == "builtin":
        return "default"
    from estiba.engine.seccomp_profile import parsed

    try:
        with open(value, encoding="utf-8") as file:
            text = file.read(_LARGEST_PROFILE)
    except (OSError, UnicodeDecodeError) as error:
        fact = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise NotFound(
            f"the seccomp profile {value!r} cannot be read: {fact}",
            remedy="Give a file, or seccomp=unconfined or seccomp=builtin.",
        ) from None
    parsed(text)
    return text
