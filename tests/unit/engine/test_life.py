"""What a monitor does where something that it needs fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from estiba.engine import frames
from estiba.engine.monitor.life import Life
from estiba.engine.monitor.networking import Network
from estiba.engine.monitor.request import StartRequest
from estiba.engine.monitor.serving import Serving
from estiba.engine.options import ContainerOptions, Limits, Membership
from estiba.engine.records import ContainerRecord, Containers, Networking
from estiba.engine.spec import Process
from estiba.errors import EstibaError, Unavailable
from estiba.networks.endpoints import Endpoint
from estiba.oci import json_text
from estiba.store.database import Database


class Broken:
    """Networks whose record others keep busy."""

    def give_back(self, key: str) -> tuple[Any, ...]:
        raise Unavailable("the record of networks cannot be used: database is locked")

    def unplug(self, links: tuple[Any, ...]) -> None:
        raise Unavailable("a container network could not be set up")


@pytest.fixture
def life(tmp_path: Path) -> Life:
    request = StartRequest(
        container_id="c" * 64,
        name="web",
        root=str(tmp_path),
        run=str(tmp_path),
        options=ContainerOptions("image"),
        process=Process(("true",), (), "/", "", "TERM", (), (), ()),
        rootfs=(),
        volumes=(),
        runtime=(),
        runtime_root="",
        runtime_is_ours=True,
        snapshotter="copying",
        boot="",
    )
    serving = Serving()
    serving.close_wakeups()
    return Life(request, serving, os.open(os.devnull, os.O_RDONLY))


def test_a_record_of_networks_that_cannot_be_used_does_not_keep_a_container_from_ending(
    life: Life, capfd: pytest.CaptureFixture[str]
) -> None:
    """The row that stays is that of an owner who has died, which the next container clears away."""
    life.networks = Broken()  # type: ignore[assignment]
    life.network = Network(os.open(os.devnull, os.O_RDONLY), "new", Networking("inner"))
    life._release()
    assert life.network is None
    life.links = ("a link",)  # type: ignore[assignment]
    life._say_goodbye()
    said = capfd.readouterr().err
    assert "database is locked" in said and "could not be set up" in said


class Told:
    """A client of the monitor."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, Any]] = []

    def send(self, kind: int, content: Any = b"") -> None:
        self.frames.append((kind, content))


class Joinable:
    """Networks that take everybody in, and note how."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, str]] = []

    def attach(self, _netns: int, *, network: str, hostname: str, **_: Any) -> Endpoint:
        self.noted.append((network, hostname))
        return Endpoint(network, "eth0", "10.0.0.2", 24, "10.0.0.1", "02:00:00:00:00:02")

    def leave(self, _netns: int, _key: str, network: str) -> None:
        self.noted.append((network, "left"))


def running(life: Life) -> Containers:
    """Its record, whose network namespace is none, so that nobody answers for names."""
    life.network = Network(-1, "new", Networking())
    life.run = object()  # type: ignore[assignment]
    life.networks = Joinable()  # type: ignore[assignment]
    text = json_text.dumps(life.request.options.to_json())
    record = ContainerRecord("c" * 64, "web", "image", "", 0, "running", text, "{}", "")
    life.containers.add(record)
    return Containers(Database.open(f"{life.request.root}/state.db"))


def test_joining_a_network_keeps_what_others_have_changed_meanwhile(life: Life) -> None:
    others, client = running(life), Told()
    others.change_options("c" * 64, lambda options: options._replace(limits=Limits(memory=1 << 25)))
    others.rename("c" * 64, "front")
    for kind, order in ((frames.CONNECT, Membership("inner")), (frames.DISCONNECT, "bridge")):
        life.change_networks(client, kind, order)  # type: ignore[arg-type]
    assert client.frames == [(frames.DONE, b"")] * 2
    assert life.networks.noted == [("inner", "front"), ("bridge", "left")]  # type: ignore[union-attr]
    record = others.find("front")
    assert record.parsed_options() == ContainerOptions("image", limits=Limits(memory=1 << 25), network="inner")
    assert life.request.options == record.parsed_options()


def test_a_network_that_cannot_be_noted_is_left_again(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: Any) -> None:
        raise Unavailable("the database is busy")

    running(life)
    monkeypatch.setattr(Containers, "change_options", busy)
    client, before = Told(), life.network
    life.change_networks(client, frames.CONNECT, Membership("inner"))  # type: ignore[arg-type]
    assert client.frames == [(frames.REFUSED, {"message": "the database is busy", "remedy": ""})]
    assert life.networks.noted == [("inner", "web"), ("inner", "left")]  # type: ignore[union-attr]
    assert life.network == before


def test_a_change_that_is_refused_changes_nothing(life: Life) -> None:
    others = running(life)

    def refuse(_options: ContainerOptions) -> ContainerOptions:
        raise EstibaError("no")

    with pytest.raises(EstibaError):
        others.change_options("c" * 64, refuse)
    assert others.find("web").parsed_options() == life.request.options
