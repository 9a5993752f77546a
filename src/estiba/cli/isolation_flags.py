"""Docker's flags for what of the machine a container sees → values. Loaded only where one of them is given."""

from __future__ import annotations

from estiba.engine.option_checks import check_own_name, device, is_access, mode
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
    access = rest.pop() if rest and is_access(rest[-1]) else "rwm"
    container = rest.pop(0) if rest else host
    if rest or not container:
        raise InvalidInput(
            f"invalid device {text!r}: the access {(rest or [container])[-1]!r} is not of r, w and m",
            remedy="Write HOST[:CONTAINER[:ACCESS]], such as /dev/fuse:/dev/fuse:rw.",
        )
    return device(host, container, access)


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
        pid=mode("--pid", arguments.pid or "", ("host",), joins=True),
        ipc=mode("--ipc", arguments.ipc or "", ("host", "private", "shareable", "none"), joins=True),
        uts=mode("--uts", arguments.uts or "", ("host",)),
        cgroup=mode("--cgroupns", arguments.cgroupns or "", ("host", "private")),
    )
    check_own_name(shares_name=found.uts == "host", name=arguments.hostname, domain=arguments.domainname)
    return found


def seccomp_profile(path: str) -> str:
    """The text of a profile's file.

    Raises:
        NotFound: there is no such file.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(_LARGEST_PROFILE)
    except (OSError, UnicodeDecodeError) as error:
        fact = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise NotFound(
            f"the seccomp profile {path!r} cannot be read: {fact}",
            remedy="Give a file, or seccomp=unconfined or seccomp=builtin.",
        ) from None
