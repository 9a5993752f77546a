"""Peers of the field against our registry and our client."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from estiba.store.store import Store

_TESTS = Path(__file__).parents[2]


def _load(name: str) -> ModuleType:
    """tests/NAME.py by its path: under importlib's import mode its directory is not on sys.path."""
    module_name = f"estiba_test_{name}"
    if module_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(module_name, _TESTS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        spec.loader.exec_module(module)
    return sys.modules[module_name]


registries = _load("registries")
images = _load("images")


@pytest.fixture
def server(tmp_path: Path) -> Iterator:
    running = registries.Server(str(tmp_path / "registry")).start()
    yield running
    running.stop()


@pytest.fixture
def make_store(tmp_path: Path) -> Iterator[Callable[[str], Store]]:
    opened = []

    def make(name: str = "store") -> Store:
        opened.append(Store.open(str(tmp_path / name)))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def tool() -> Callable[..., str]:
    """Runs a peer's command to its end and gives its output; a missing peer skips the test."""

    def run(*command: str) -> str:
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed")
        done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout

    return run
