"""This machine as a target: containers of the engine."""

from __future__ import annotations

import time

from estiba.deploy.app import APP_LABEL, RELEASE_LABEL, VERSION_LABEL, Actual, Release
from estiba.deploy.options import container_options
from estiba.deploy.probe import http_problem, tcp_problem
from estiba.engine import logs
from estiba.engine.engine import Engine
from estiba.engine.lifecycle import HAS_MONITOR, RUNNING
from estiba.engine.records import ContainerRecord
from estiba.errors import EstibaError, NotFound, Unavailable
from estiba.graph.cancellation import Cancellation

_BETWEEN_PROBES = 0.05
_STEADY = 1.0  # seconds that a container must have run which cannot be asked
_LAST_LINES = 20
_LONGEST = 8192


class NotReady(Unavailable):
    """A new container did not answer."""


class MachineContainers:
    """`Containers` over the engine; `cancellation` ends a wait."""

    def __init__(self, engine: Engine, *, cancellation: Cancellation | None = None) -> None:
        self._engine = engine
        self._cancellation = cancellation or Cancellation()

    def actual(self) -> dict[str, Actual]:
        return {record.name: _actual(record) for record in self._engine.all()}

    def create(self, name: str, release: Release) -> None:
        image = self._engine.store.images.get(release.image_id)
        if image is None:
            raise NotFound(f"the image {release.image_id} of {release.app.name} {release.version} is not here")
        self._engine.create(container_options(name, release), image)

    def start(self, name: str) -> None:
        connection = self._engine.start(name)
        if connection is not None:
            connection.close()

    def stop(self, name: str, *, at_once: bool = False) -> None:
        self._engine.stop(name, timeout=0 if at_once else None)

    def remove(self, name: str) -> None:
        self._engine.remove(name, force=True, volumes=True, keep=0)

    def rename(self, name: str, to: str) -> None:
        self._engine.rename(name, to)

    def await_ready(self, name: str, release: Release) -> None:
        began = time.monotonic()
        while True:
            self._cancellation.raise_if_set()
            record = self._engine.find(name)
            if record.state != RUNNING or record.restarts:
                raise NotReady(f"it ended with exit code {record.exit_code}")
            ran = time.monotonic() - began
            problem = _problem(record, release, ran=ran)
            if not problem:
                return
            if ran >= release.app.ready_within:
                raise NotReady(f"no answer within {release.app.ready_within:g} seconds: {problem}")
            time.sleep(_BETWEEN_PROBES)

    def last_words(self, name: str) -> str:
        try:
            path = self._engine.paths(self._engine.find(name).id).log
            entries = logs.read(path, logs.Wanted(tail=_LAST_LINES))
            said = b"".join(entry.data for entry in entries)
        except (EstibaError, OSError):
            return ""
        return said[-_LONGEST:].decode("utf-8", "replace").rstrip()


def _actual(record: ContainerRecord) -> Actual:
    labels = dict(record.parsed_options().labels)
    return Actual(
        record.name,
        record.state in HAS_MONITOR,
        labels.get(APP_LABEL, ""),
        labels.get(RELEASE_LABEL, ""),
        labels.get(VERSION_LABEL, ""),
    )


def _problem(record: ContainerRecord, release: Release, *, ran: float) -> str:
    """Why it does not answer yet, after `ran` seconds; "" where it does."""
    if release.app.probe:
        return http_problem(release.app.probe)
    for inside, outside in record.parsed_network().ports:
        if inside.endswith("/tcp"):
            address, _, port = outside.rpartition(":")
            return tcp_problem("127.0.0.1" if address in ("", "0.0.0.0") else address, int(port))
    return "" if ran >= _STEADY else "it has only begun"
