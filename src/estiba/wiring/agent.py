"""The agent's parts, joined to the rest of the house."""

from __future__ import annotations

from estiba.agent import config as configuration
from estiba.agent.clone import Git
from estiba.agent.config import AgentConfig
from estiba.agent.work import Work
from estiba.builder.build import build
from estiba.builder.request import BuildRequest
from estiba.deploy.machine import MachineContainers
from estiba.errors import NotFound
from estiba.graph.cancellation import Cancellation
from estiba.graph.protocols import Progress
from estiba.oci.digest import Digest
from estiba.oci.reference import Reference
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from estiba.wiring.house import House


def read_config(path: str) -> AgentConfig:
    """The agent's configuration with the secrets that it names.

    Raises:
        NotFound: the file, or one that it names, cannot be read. InvalidConfig: what stands in it.
    """
    text = _read(path).decode("utf-8", "replace")
    files = configuration.secret_files(configuration.load(text, filename=path))
    return configuration.parse(text, filename=path, secret_files={file: _read(file) for file in files})


def agent_work(house: House, *, directory: str, progress: Callable[[TextIO], Progress]) -> Work:
    """What a job does in this house."""

    def build_image(request: BuildRequest, *, progress: Progress, cancellation: Cancellation) -> Digest:
        return build(
            request,
            store=house.store,
            surroundings=house.build_surroundings,
            images=house.images,
            progress=progress,
            cancellation=cancellation,
        ).image_id

    def push_image(image_id: Digest, name: Reference, *, cancellation: Cancellation) -> str:
        from estiba.registry.client.push import push

        watch = _Watch(cancellation)
        result = push(house.store, image_id, name, credentials=house.credentials, progress=watch, routes=house.routes)
        return f"{result.digest}, {result.bytes_sent} bytes sent"

    def containers(cancellation: Cancellation) -> MachineContainers:
        return MachineContainers(house.engine, cancellation=cancellation)

    return Work(
        directory=f"{directory}/work",
        git=Git(house.settings.environment),
        build=build_image,
        push=push_image,
        containers=containers,
        platform=house.settings.platform,
        progress=progress,
    )


class _Watch:
    """The progress of a push, which ends it at its next step where it is given up."""

    def __init__(self, cancellation: Cancellation) -> None:
        self._cancellation = cancellation

    def line(self, text: str) -> None:
        self._cancellation.raise_if_set()

    def blob(self, digest: Digest, status: str, *, done: int = 0, total: int = 0) -> None:
        self._cancellation.raise_if_set()


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise NotFound(
            f"cannot read {path}: {error.strerror}", remedy="Name the agent's configuration with --config FILE."
        ) from None
