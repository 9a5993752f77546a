"""A forge, a registry, an installation with a base image, and the agent between them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import registries
from agents import DOCKERFILE, Agent, Forge
from images import busybox_image


@pytest.fixture
def forge(tmp_path) -> Iterator[Forge]:
    forge = Forge(tmp_path / "forge")
    yield forge
    forge.close()


@pytest.fixture
def registry(tmp_path) -> Iterator[registries.Server]:
    server = registries.Server(str(tmp_path / "registry")).start()
    yield server
    server.stop()


@pytest.fixture
def home(estiba_home):
    """An installation with the image ``busybox``."""
    from estiba.store.store import Store

    store = Store.open(estiba_home.root)
    busybox_image(store)
    store.close()
    return estiba_home


@pytest.fixture
def make_agent(home, forge, registry) -> Iterator:
    """Makes an agent (not started) for a repository with these files beside a page and its Dockerfile."""
    agents: list[Agent] = []

    def make(**files: str) -> Agent:
        repository = forge.repository({"Dockerfile": DOCKERFILE, "page": "the first page"} | files)
        agents.append(Agent(home, repository, registry.address))
        return agents[-1]

    yield make
    for agent in agents:
        agent.strike()


@pytest.fixture
def agent(make_agent) -> Agent:
    """An agent that serves."""
    return make_agent().start()
