"""The agent's parts, joined to the rest of the house."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

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

if TYPE_CHECKING:
    from collections.abc import Callable

    from estiba.wiring.house import House


def read_config(path: str) -> AgentConfig:
    """The agent's configuration with the secrets that it names.

    Raises:
        NotFound: the file, or one that it names, cannot be read. InvalidConfig: what stands in it.
    """
    text = _read(path).decode("utf-8", "replace")
    document = configuration.load(text, filename=path)
    tables = document.get("repository", [])
    files = (
        [table.get("secret_file") for table in tables if isinstance(table, dict)] if isinstance(tables, list) else []
    )
    secrets = {file: _read(file) for file in files if isinstance(file, str) and file}
    return configuration.parse(text, filename=path, secret_files=secrets)


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

    def push_image(image_id: Digest, name: Reference) -> str:
        from estiba.registry.client.push import push

        result = push(house.store, image_id, name, credentials=house.credentials)
        return f"{result.digest}, {result.bytes_sent} bytes sent"

    return Work(
        directory=f"{directory}/work",
        git=Git(house.settings.environment),
        build=build_image,
        push=push_image,
        containers=lambda: MachineContainers(house.engine),
        platform=house.settings.platform,
        progress=progress,
    )


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise NotFound(f"cannot read {path}: {error.strerror}") from None
