"""`--init`: a small static program of the host's as the container's first process, as Docker and Podman have it."""

from __future__ import annotations

import os

from estiba.errors import Unavailable
from estiba.runtime.spec import SpecMount

PLACE = "/sbin/docker-init"
# Static ones, for the image may have no libraries: of Docker, of Debian's package tini, of Podman.
_PROGRAMS = (
    "/usr/bin/docker-init",
    "/usr/libexec/docker/docker-init",
    "/usr/bin/tini-static",
    "/usr/libexec/podman/catatonit",
    "/usr/bin/catatonit",
)


def mount() -> SpecMount:
    """The host's program as it is shown to the container, which cannot change it.

    Raises:
        Unavailable: the host has none.
    """
    program = next((path for path in _PROGRAMS if os.access(path, os.X_OK)), None)
    if program is None:
        raise Unavailable("--init needs an init program, and this machine has none", remedy="Install the package tini.")
    return SpecMount(PLACE, "bind", os.path.realpath(program), ("bind", "ro", "nosuid", "nodev", "rprivate"))


def command(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """What runs the container's own command below it."""
    return (PLACE, "--", *arguments)
