"""This machine as a target: containers of the engine."""

from __future__ import annotations

import http.client
import select
import socket
import time
from urllib.parse import urlsplit

from estiba.deploy.app import APP_LABEL, RELEASE_LABEL, Actual, Release
from estiba.engine.engine import Engine
from estiba.engine.options import ContainerOptions
from estiba.engine.records import ContainerRecord
from estiba.errors import NotFound, Unavailable
from estiba.networks.ports import PortMapping

VERSION_LABEL = "org.estiba.version"
_BETWEEN_PROBES = 0.05
_TAIL = 4096


class NotReady(Unavailable):
    """A new container did not answer."""


class MachineContainers:
    """`Containers` over the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def actual(self) -> dict[str, Actual]:
        found = {}
        for record in self._engine.all():
            labels = dict(record.parsed_options().labels)
            is_running = record.state == "running"
            found[record.name] = Actual(
                record.name, is_running, labels.get(RELEASE_LABEL, ""), labels.get(VERSION_LABEL, "")
            )
        return found

    def create(self, name: str, release: Release) -> None:
        image = self._engine.store.images.get(release.image_id)
        if image is None:
            raise NotFound(f"the image {release.image_id} of {release.version} is not here")
        self._engine.create(container_options(name, release), image)

    def start(self, name: str) -> None:
        self._engine.start(name)

    def stop(self, name: str) -> None:
        self._engine.stop(name)

    def remove(self, name: str) -> None:
        self._engine.remove(name, force=True)

    def rename(self, name: str, to: str) -> None:
        self._engine.rename(name, to)

    def await_ready(self, name: str, release: Release) -> None:
        deadline = time.monotonic() + release.app.ready_within
        why = ""
        while time.monotonic() < deadline:
            record = self._engine.find(name)
            if record.state != "running":
                raise NotReady(f"{name} ended with exit code {record.exit_code}")
            why = _problem(record, release)
            if not why:
                return
            select.select([], [], [], _BETWEEN_PROBES)
        raise NotReady(f"{name} did not answer within {release.app.ready_within:g} seconds: {why}")

    def last_words(self, name: str) -> str:
        from estiba.engine.logs import tail

        try:
            return tail(self._engine, name, lines=20)
        except NotFound:
            return ""


def container_options(name: str, release: Release) -> ContainerOptions:
    """The options of the container of a release, read as the flags of `estiba run` are."""
    from estiba.engine.mount_syntax import parse_volume
    from estiba.engine.options import Limits
    from estiba.engine.quantities import parse_cpus, parse_size
    from estiba.engine.restart_policy import RestartPolicy
    from estiba.networks.ports import parse_port

    app = release.app
    return ContainerOptions(
        image=release.image_name,
        command=app.command or None,
        name=name,
        env=app.env,
        labels=((APP_LABEL, app.name), (RELEASE_LABEL, release.fingerprint), (VERSION_LABEL, release.version)),
        mounts=tuple(parse_volume(text, current_directory="/") for text in app.volumes),
        ports=tuple(port for text in app.publish for port in parse_port(text)),
        network=app.network,
        limits=Limits(
            memory=parse_size(app.memory) if app.memory else 0, nano_cpus=parse_cpus(app.cpus) if app.cpus else 0
        ),
        restart=RestartPolicy.parse(app.restart),
    )


def _problem(record: ContainerRecord, release: Release) -> str:
    """Why it does not answer yet; "" where it does."""
    if release.app.probe:
        return _http_problem(release.app.probe)
    port = next((port for port in record.parsed_options().ports if port.protocol == "tcp"), None)
    return "" if port is None else _tcp_problem(port)


def _tcp_problem(port: PortMapping) -> str:
    address = "127.0.0.1" if port.host_address in ("", "0.0.0.0") else port.host_address
    try:
        socket.create_connection((address, port.host_port), timeout=2).close()
    except OSError as error:
        return f"port {port.host_port}: {error}"
    return ""


def _http_problem(address: str) -> str:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port or 80, timeout=5)
    try:
        connection.request("GET", parts.path or "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{address}: {error}"
    finally:
        connection.close()
    return "" if status < 400 else f"{address} answered {status}"
