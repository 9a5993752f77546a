"""What a monitor does where something that it needs fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from estiba.engine.monitor.life import Life
from estiba.engine.monitor.networking import Network
from estiba.engine.monitor.request import StartRequest
from estiba.engine.monitor.serving import Serving
from estiba.engine.options import ContainerOptions
from estiba.engine.records import Networking
from estiba.engine.spec import Process
from estiba.errors import Unavailable


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
