"""Configurations that are JSON and otherwise anything: each runs, or is refused in one sentence; nothing is left."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from estiba.runtime.spec import Resources, Rlimit, SpecDevice, SpecOptions, container_spec
from watching import mounts_of_the_host

pytestmark = pytest.mark.root

_ANYTHING = (
    *(None, True, -1, 0, 1, 1 << 63, 1 << 70, 1.5, [], {}, [None], [[]], [1], ["a"], {"a": 1}, {"": None}, [{}]),
    *("", "/", "..", "../../..", "\0", "a\0b", "\ud800", "x" * 5000, "/proc/self/fd/3", "/proc", "NaN", ["\0"]),
)


def _places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a document; of long lists the first four."""
    yield above
    inner = value.items() if isinstance(value, dict) else enumerate(value[:4]) if isinstance(value, list) else ()
    for key, below in inner:
        yield from _places(below, (*above, key))


def _changed(document: dict[str, Any], choice: random.Random) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    place = choice.choice([place for place in _places(document) if place])
    inner: Any = changed
    for key in place[:-1]:
        inner = inner[key]
    if isinstance(inner, dict) and choice.random() < 0.15:
        del inner[place[-1]]
    else:
        inner[place[-1]] = choice.choice(_ANYTHING)
    return changed


@pytest.mark.parametrize("seed", range(0, 80, 20))
def test_no_configuration_breaks_the_runtime(cell, seed):
    mounts = mounts_of_the_host(cell.directory)
    for number in range(seed, seed + 20):
        choice = random.Random(number)
        bundle = cell.bundle("true")
        with open(f"{bundle}/config.json", "w", encoding="ascii") as file:
            json.dump(_changed(_document(cell.rootfs), choice), file)
        done = cell.call("run", "-b", bundle, cell.name(), timeout=20, errors="backslashreplace")
        assert "Traceback" not in done.stderr, number
        assert done.returncode in (0, 125, 126, 127, 128 + 11, 128 + 31), (number, done.stderr)
        assert done.stderr or done.returncode in (0, 128 + 11, 128 + 31), number
        assert os.listdir(cell.root) == [] if os.path.isdir(cell.root) else True, number
    assert mounts_of_the_host(cell.directory) == mounts


@pytest.mark.parametrize("seed", range(0, 40, 20))
def test_no_description_of_one_more_process_breaks_the_runtime_or_the_container(cell, seed):
    name = cell.start("sleep", "60")
    process = _document(cell.rootfs)["process"]
    path = os.path.join(cell.directory, "process.json")
    for number in range(seed, seed + 20):
        with open(path, "w", encoding="ascii") as file:
            json.dump(_changed(process, random.Random(number)), file)
        done = cell.call("exec", "--process", path, name, timeout=20, errors="backslashreplace")
        assert "Traceback" not in done.stderr, number
        assert done.returncode in (0, 125, 126, 127), (number, done.stderr)
    assert cell.client.state(name).status == "running"


def _document(rootfs: str) -> dict[str, Any]:
    return container_spec(
        SpecOptions(
            args=("true",),
            rootfs=rootfs,
            env=("PATH=/bin",),
            hostname="cell",
            sysctl=(("kernel.shmmax", "4096"),),
            rlimits=(Rlimit("RLIMIT_NOFILE", 10, 20),),
            devices=(SpecDevice("/dev/fuse", "c", 10, 229),),
            resources=Resources(memory=1 << 26, pids=100),
            seccomp="unconfined",
        )
    )
