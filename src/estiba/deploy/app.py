"""What is wanted and what is there, as values. Pure."""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from estiba.oci.canonical_json import dumps
from estiba.oci.digest import Digest

APP_LABEL = "org.estiba.app"
RELEASE_LABEL = "org.estiba.release"
"""The label of a container which holds the fingerprint of its release."""
VERSION_LABEL = "org.estiba.version"


class App(NamedTuple):
    """One app on one machine: the options of `estiba run` that a container of it gets.

    `publish`, `volumes` and `memory` are written as for `estiba run`. `ready_within` is how many seconds a new
    container has until it answers; `probe` is an http:// address to ask, or "": the first published TCP port must
    accept a connection, and with none published the container must run for a second.
    """

    name: str
    publish: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    network: str = "bridge"
    memory: str = ""
    cpus: str = ""
    restart: str = "unless-stopped"
    command: tuple[str, ...] = ()
    probe: str = ""
    ready_within: float = 30.0


class Release(NamedTuple):
    """An image for an app; `version` is what people call it, such as a commit."""

    app: App
    image_id: Digest
    image_name: str
    version: str

    @property
    def fingerprint(self) -> str:
        """Equal for releases that need no new container: the same image run in the same way."""
        options = self.app._replace(probe="", ready_within=0.0)
        return sha256(dumps([list(options), str(self.image_id)])).hexdigest()[:32]


class Actual(NamedTuple):
    """A container that is there. `app` and `fingerprint` are "" if it was not deployed by Estiba.

    `is_running`: it has a process, or will have one again without being told.
    """

    name: str
    is_running: bool
    app: str = ""
    fingerprint: str = ""
    version: str = ""
