"""From an app's settings to the options of its container: each is read as the flag of `estiba run` is. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from estiba.deploy.app import APP_LABEL, RELEASE_LABEL, VERSION_LABEL, App, Release
from estiba.deploy.plan import next_name, previous_name
from estiba.engine.mount_syntax import parse_volume
from estiba.engine.names import checked_name
from estiba.engine.options import ContainerOptions, Limits, VolumeMount
from estiba.engine.quantities import parse_cpus, parse_size
from estiba.engine.restart_policy import RestartPolicy
from estiba.errors import EstibaError, InvalidInput
from estiba.networks.ports import PortMapping, parse_port

LONGEST_WAIT = 3600.0


def container_options(name: str, release: Release) -> ContainerOptions:
    """The options of the container called `name` for `release`.

    Raises:
        InvalidInput, NotThereYet: a setting of the app.
    """
    app = release.app
    return ContainerOptions(
        image=release.image_name,
        command=app.command or None,
        name=name,
        env=app.env,
        labels=((APP_LABEL, app.name), (RELEASE_LABEL, release.fingerprint), (VERSION_LABEL, release.version)),
        mounts=_mounts(app),
        ports=_ports(app),
        network=app.network,
        limits=_limits(app),
        restart=RestartPolicy.parse(app.restart),
    )


class InvalidSetting(InvalidInput):
    """A setting of an app; `key` is its field of `App`."""

    def __init__(self, key: str, error: EstibaError) -> None:
        super().__init__(error.message, remedy=error.remedy)
        self.key = key


def check(app: App) -> None:
    """Find out now what would fail when it is deployed.

    Raises:
        InvalidSetting: the first setting that is wrong.
    """
    for key, reader in _CHECKS.items():
        try:
            reader(app)
        except EstibaError as error:
            raise InvalidSetting(key, error) from None


def _name(app: App) -> None:
    checked_name(app.name)
    if app.name.startswith("/"):
        raise InvalidInput(f"invalid name {app.name!r}")
    for ending in (next_name(""), previous_name("")):
        if app.name.endswith(ending):
            raise InvalidInput(f"the name {app.name!r} ends with {ending}, as containers of a deployment do")


def _mounts(app: App) -> tuple[VolumeMount, ...]:
    for text in app.volumes:
        if text.startswith((".", "~")):
            raise InvalidInput(f"the volume {text!r} is relative", remedy="Give the whole path.")
    return tuple(parse_volume(text, current_directory="/") for text in app.volumes)


def _ports(app: App) -> tuple[PortMapping, ...]:
    return tuple(port for text in app.publish for port in parse_port(text))


def _env(app: App) -> None:
    for text in app.env:
        if not text.partition("=")[0] or "\0" in text:
            raise InvalidInput(f"{text!r} is not NAME=VALUE")


def _limits(app: App) -> Limits:
    memory = parse_size(app.memory, what="memory") if app.memory else 0
    return Limits(memory=memory, nano_cpus=parse_cpus(app.cpus) if app.cpus else 0)


def _probe(app: App) -> None:
    if not app.probe:
        return
    try:
        parts = urlsplit(app.probe)
        is_address = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or not app.probe.isascii() or any(character <= " " for character in app.probe):
        raise InvalidInput(f"{app.probe!r} is not an http:// address")


def _ready_within(app: App) -> None:
    if not 0 < app.ready_within <= LONGEST_WAIT:
        raise InvalidInput(f"{app.ready_within:g} is not between 1 and {LONGEST_WAIT:g} seconds")


_CHECKS: Mapping[str, Callable[[App], object]] = {
    "name": _name,
    "publish": _ports,
    "env": _env,
    "volumes": _mounts,
    "memory": lambda app: _limits(app._replace(cpus="")),
    "cpus": lambda app: _limits(app._replace(memory="")),
    "restart": lambda app: RestartPolicy.parse(app.restart),
    "probe": _probe,
    "ready_within": _ready_within,
}
