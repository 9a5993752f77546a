"""Registry servers for these tests; every test module here speaks to a real process over real sockets."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crashes import Bench


def _load_registries():
    """tests/registries.py by its path: under importlib's import mode its directory is not on sys.path."""
    if "estiba_test_registries" not in sys.modules:
        path = Path(__file__).parents[2] / "registries.py"
        spec = importlib.util.spec_from_file_location("estiba_test_registries", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules["estiba_test_registries"] = module
        spec.loader.exec_module(module)
    return sys.modules["estiba_test_registries"]


registries = _load_registries()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """One server for the tests of a module; each uses repositories of its own."""
    running = registries.Server(str(tmp_path_factory.mktemp("registry") / "storage")).start()
    yield running
    running.stop()


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable]:
    """Starts servers that a test may stop and kill; one for each name."""
    made = []

    def make(*flags: str, name: str = "storage"):
        made.append(registries.Server(str(tmp_path / name), *flags).start())
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def misbehave() -> Iterator[Callable]:
    """Starts servers in threads, each with a handler that the test has written."""
    running = []

    def start(handler, **options):
        running.append(registries.Misbehaving(handler, **options))
        return running[-1]

    yield start
    for one in running:
        one.close()


@pytest.fixture
def bench(server, estiba_home, tmp_path: Path) -> Bench:
    """An installation for tests that cut commands, beside a registry that has the image ``seed/image:1``."""
    layers = [registries.layer_of({f"seed{number}": bytes([number]) * 70_000}) for number in (1, 2)]
    server.push_image("seed/image", "1", *layers, config=registries.config_of(*layers))
    return Bench(estiba_home, server.address, str(tmp_path))


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository name that no other test uses."""
    return "test/" + re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:100].strip("-")
