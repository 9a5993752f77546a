"""An installation with an image to run, whose containers, networks and processes are gone after the test."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator

import pytest

from estiba.networks.networks import Networks
from estiba.store.store import Store
from images import busybox_image
from waiting import wait_until


class ContainerHost:
    """One installation and what tests ask of it again and again."""

    def __init__(self, home) -> None:
        self.home = home
        self.root: str = home.root
        self.run_directory: str = home.run

    def estiba(self, *arguments: str, check: bool = True, **options) -> subprocess.CompletedProcess[str]:
        """`estiba ARGUMENTS` to its end."""
        done: subprocess.CompletedProcess[str] = self.home.estiba(*arguments, check=check, **options)
        return done

    def start(self, *arguments: str, **options) -> subprocess.Popen[str]:
        """`estiba ARGUMENTS` beside the test."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen([*self.home.command, *arguments], text=True, **options)

    def inspect(self, name: str) -> dict:
        """What `estiba inspect` says of a container."""
        found: dict = json.loads(self.estiba("inspect", "--type", "container", name).stdout)[0]
        return found

    def state(self, name: str) -> str:
        status: str = self.inspect(name)["State"]["Status"]
        return status

    def monitors(self) -> list[int]:
        """The process ids of this installation's monitors."""
        return [
            pid for pid, command in _commands() if "monitor/launcher.py" in command and self.run_directory in command
        ]

    def wait_until(self, condition: Callable[[], bool], what: str, *, patience: float = 20) -> None:
        """Wait for a condition, and fail the test when it does not come."""
        wait_until(condition, what, patience=patience)

    def remove_everything(self) -> None:
        """Every container, volume and network, and then nothing of them may be left."""
        ids = self.estiba("ps", "-aq").stdout.split()
        if ids:
            self.estiba("rm", "-f", "-v", *ids)
        Networks(root=self.root, run=self.run_directory).teardown()
        self.wait_until(lambda: not self.monitors(), "the monitors end", patience=10)
        left = [command for _, command in _commands() if str(self.home) in command]
        assert left == [], f"processes left: {left}"
        for place in ("containers", "runtime"):
            directory = os.path.join(self.run_directory, place)
            assert not os.path.isdir(directory) or os.listdir(directory) == [], f"left in {directory}"


@pytest.fixture
def host(estiba_home) -> Iterator[ContainerHost]:
    """An empty installation."""
    host = ContainerHost(estiba_home)
    yield host
    host.remove_everything()


@pytest.fixture
def busybox_host(host: ContainerHost) -> ContainerHost:
    """An installation with the image `busybox` of `images.busybox_image`."""
    with Store.open(host.root) as store:
        busybox_image(store)
    return host


def _commands() -> Iterator[tuple[int, str]]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    yield int(name), file.read().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
