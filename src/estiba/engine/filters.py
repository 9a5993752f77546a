"""What a list of containers lets through: Docker's keys; values of one key are alternatives, keys must all match."""

from __future__ import annotations

import re

from estiba.engine import lifecycle
from estiba.errors import InvalidInput
from estiba.oci.labels import matches_labels
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.engine import Engine
    from estiba.engine.records import ContainerRecord

_KEYS = "ancestor before exited expose id health label name network publish since status volume"
KEYS = tuple(_KEYS.split())
STATES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
HEALTH = ("starting", "healthy", "unhealthy", "none")


class Filters:
    """Raises InvalidInput for an unknown key, or a value that can never match."""

    def __init__(self, engine: Engine, texts: list[str]) -> None:
        self._engine = engine
        self._wanted: dict[str, list[str]] = {}
        for text in texts:
            key, equals, value = text.partition("=")
            if not equals or key not in KEYS:
                raise InvalidInput(f"invalid filter {text!r}", remedy=f"Keys are {', '.join(KEYS)}: KEY=VALUE.")
            _check(key, value)
            self._wanted.setdefault(key, []).append(value)
        self._images = {str(engine.store.images.find(text).id) for text in self._wanted.get("ancestor", [])}

    @property
    def looks_at_states(self) -> bool:
        """Whether containers that do not run are asked for, without `-a`."""
        return "status" in self._wanted or "exited" in self._wanted

    def take(self, record: ContainerRecord) -> bool:
        """Whether every key matches."""
        return all(self._matches(key, values, record) for key, values in self._wanted.items())

    def _matches(self, key: str, values: list[str], record: ContainerRecord) -> bool:
        if key == "label":
            return matches_labels(dict(record.parsed_process().labels), self._wanted)
        return any(self._matches_one(key, value, record) for value in values)

    def _matches_one(self, key: str, value: str, record: ContainerRecord) -> bool:
        if key == "id":
            return value in record.id
        if key == "name":
            return (
                re.search(value.removeprefix("/"), record.name) is not None
                or re.search(value, "/" + record.name) is not None
            )
        if key == "health":
            from estiba.engine import health_file

            return value == (health_file.status_of(self._engine, record) or "none")
        if key == "status":
            shown = lifecycle.CREATED if record.state == lifecycle.STARTING else record.state
            return value == shown
        if key == "exited":
            return record.state == lifecycle.EXITED and str(record.exit_code) == value
        if key == "ancestor":
            return record.image_id in self._images
        if key in ("before", "since"):
            other = self._engine.find(value).created
            return record.created < other if key == "before" else record.created > other
        if key == "volume":
            volumes = self._engine.containers.volumes_of(record.id)
            binds = [(mount.source, mount.target) for mount in record.parsed_options().mounts if mount.kind == "bind"]
            return any(value in pair for pair in [*volumes, *binds])
        if key == "network":
            options = record.parsed_options()
            return value in (options.network, *(one.network for one in options.networks))
        port = value if "/" in value else f"{value}/tcp"
        if key == "publish":
            return any(
                inside == port or outside.endswith(f":{value.partition('/')[0]}")
                for inside, outside in record.parsed_network().ports
            )
        return port in [p if "/" in p else f"{p}/tcp" for p in record.parsed_process().exposed_ports]


def _check(key: str, value: str) -> None:
    if key == "status" and value not in STATES:
        raise InvalidInput(f"invalid filter 'status={value}'", remedy=f"States are {', '.join(STATES)}.")
    if key == "health" and value not in HEALTH:
        raise InvalidInput(f"invalid filter 'health={value}'", remedy=f"It is one of {', '.join(HEALTH)}.")
    if key == "name":
        try:
            re.compile(value)
        except re.error as error:
            raise InvalidInput(
                f"invalid filter 'name={value}': {error}", remedy="Names are regular expressions, such as name=^web."
            ) from None
