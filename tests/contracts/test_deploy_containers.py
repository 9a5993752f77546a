"""What a deployment may expect of the containers of a machine: of those of the engine, and of those in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from estiba.deploy.app import App, Release
from estiba.deploy.executor import Containers
from estiba.errors import AlreadyExists, EstibaError, NotFound
from estiba.oci.digest import Digest


class Target(NamedTuple):
    """A machine, a release that answers on it and one that ends at once."""

    containers: Containers
    good: Release
    bad: Release


@pytest.fixture(params=["memory", pytest.param("engine", marks=pytest.mark.root)])
def target(request: pytest.FixtureRequest, make_estiba_home) -> Iterator[Target]:
    if request.param == "memory":
        yield _in_memory()
    else:
        yield from _of_the_engine(make_estiba_home())


def _in_memory() -> Target:
    from estiba.deploy.memory import MemoryContainers

    good = Release(App("web"), Digest.of(b"good"), "good", "1")
    bad = good._replace(image_id=Digest.of(b"bad"), version="2")
    return Target(MemoryContainers(answers=lambda release: release is good), good, bad)


def _of_the_engine(home) -> Iterator[Target]:
    from estiba.deploy.machine import MachineContainers
    from estiba.wiring.house import House
    from estiba.wiring.settings import read
    from images import busybox_image

    with House(read(dict(os.environ), root=home.root, run=home.run)) as house:
        image = busybox_image(house.store)
        app = App("web", restart="no", ready_within=10, network="none")
        good = Release(app._replace(command=("sleep", "3015")), image.id, "busybox", "1")
        bad = Release(app._replace(command=("sh", "-c", "echo oh; exit 3")), image.id, "busybox", "2")
        target = Target(MachineContainers(house.engine), good, bad)
        yield target
        for name in target.containers.actual():
            target.containers.remove(name)


def running(target: Target) -> dict[str, tuple[bool, str]]:
    return {name: (each.is_running, each.version) for name, each in target.containers.actual().items()}


def test_the_life_of_a_container(target: Target) -> None:
    machine = target.containers
    assert machine.actual() == {}
    machine.create("web", target.good)
    created = machine.actual()["web"]
    assert (created.app, created.fingerprint) == ("web", target.good.fingerprint)
    assert running(target) == {"web": (False, "1")}
    machine.start("web")
    machine.start("web")
    machine.await_ready("web", target.good)
    assert running(target) == {"web": (True, "1")}
    machine.rename("web", "web.previous")
    assert running(target) == {"web.previous": (True, "1")}
    machine.stop("web.previous", at_once=True)
    machine.stop("web.previous")
    assert running(target) == {"web.previous": (False, "1")}
    machine.start("web.previous")
    machine.remove("web.previous")
    assert machine.actual() == {}


def test_a_release_that_ends_is_not_ready(target: Target) -> None:
    machine = target.containers
    machine.create("web.next", target.bad)
    machine.start("web.next")
    with pytest.raises(EstibaError):
        machine.await_ready("web.next", target.bad)
    assert machine.last_words("web.next") != ""


def test_a_name_belongs_to_one(target: Target) -> None:
    machine = target.containers
    machine.create("web", target.good)
    machine.create("web.next", target.bad)
    with pytest.raises(AlreadyExists):
        machine.create("web", target.bad)
    with pytest.raises(AlreadyExists):
        machine.rename("web.next", "web")
    assert sorted(machine.actual()) == ["web", "web.next"]


@pytest.mark.parametrize("action", ["start", "stop", "remove"])
def test_what_is_not_there_is_not_found(target: Target, action: str) -> None:
    with pytest.raises(NotFound):
        getattr(target.containers, action)("web")


def test_what_is_not_there_has_no_last_words_and_no_other_name(target: Target) -> None:
    assert target.containers.last_words("web") == ""
    with pytest.raises(NotFound):
        target.containers.rename("web", "other")
