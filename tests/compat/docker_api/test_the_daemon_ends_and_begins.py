"""The daemon is killed and started again: containers, their output and what is asked of them do not suffer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest

from docker_daemons import Docker, estiba_daemon
from estiba.networks.networks import Networks
from estiba.store.database import Database
from estiba.store.store import Store
from images import busybox_image
from waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.slow]


class Place:
    """An installation whose daemon comes and goes."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.root, self.run = f"{directory}/root", f"{directory}/run"
        estiba = os.path.join(os.path.dirname(sys.executable), "estiba")
        self.command = [estiba, "--root", self.root, "--run", self.run]

    def daemon(self):
        return estiba_daemon(self.command, self.directory)

    def estiba(self, *words: str) -> str:
        return subprocess.run([*self.command, *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="est-api-") as directory:
        made = Place(directory)
        os.mkdir(made.root)
        os.mkdir(made.run, mode=0o700)
        with Store.open(made.root) as store:
            busybox_image(store)
        yield made
        ids = made.estiba("ps", "-aq").split()
        if ids:
            made.estiba("rm", "-f", "-v", *ids)
        Networks(root=made.root, run=made.run).teardown()


def test_kill_nine_of_the_daemon_costs_no_container_and_no_line(place: Place) -> None:
    count = "i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); done; exit 4"
    log = open(f"{place.directory}/first.log", "wb")
    socket = f"unix://{place.directory}/k.sock"
    daemon = subprocess.Popen([*place.command, "daemon", "-H", socket], stdout=log, stderr=log)
    docker = Docker(socket)
    wait_until(lambda: docker("version").returncode == 0, "the daemon answers")
    docker("run", "-d", "--name", "counts", "busybox", "sh", "-c", count, check=True)
    docker("run", "-d", "--name", "stays", "busybox", "sleep", "1000", check=True)
    waiting = subprocess.Popen([*docker.command, "wait", "counts"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    log.close()
    waiting.communicate(timeout=30)
    with place.daemon() as again:
        assert again("wait", "counts", check=True).stdout == "4\n"
        lines = again("logs", "counts", check=True).stdout.split()
        assert lines == [str(number) for number in range(2000)]
        assert again("exec", "stays", "echo", "here", check=True).stdout == "here\n"
        assert again("inspect", "-f", "{{.State.Status}}", "stays", check=True).stdout == "running\n"
        again("rm", "-f", "counts", "stays", check=True)


def test_what_should_run_runs_again_after_a_reboot(place: Place) -> None:
    """A reboot is what is left of it: no process, another boot id."""
    policies = {"a": "always", "b": "unless-stopped", "c": "unless-stopped", "d": "on-failure", "e": "no"}
    for name, policy in policies.items():
        place.estiba("run", "-d", "--name", f"box-{name}", "--restart", policy, "busybox", "sleep", "1000")
    place.estiba("stop", "-t", "0", "box-a", "box-c")
    wait_until(lambda: len(_monitors(place)) == 3, "those that were stopped have ended")
    for monitor in _monitors(place):
        os.kill(monitor, signal.SIGKILL)
    wait_until(lambda: not [line for line in _processes() if place.run in line], "the machine is down")
    place.estiba("ps", "-a")  # what is left of them is cleaned up
    database = Database.open(f"{place.root}/state.db")
    with database.transaction() as connection:
        connection.execute("UPDATE containers SET exit_code = 255 WHERE exit_code = 137 AND NOT stop_wanted")
    database.close()
    with place.daemon() as docker:
        wait_until(
            lambda: sorted(docker("ps", "--format", "{{.Names}}").stdout.split()) == ["box-a", "box-b", "box-d"],
            "those that should run, run",
        )


def _monitors(place: Place) -> list[int]:
    return [int(line.split()[1]) for line in _processes() if "monitor/launcher.py" in line and place.run in line]


def _processes() -> list[str]:
    return subprocess.run(["ps", "-ef", "-ww"], check=True, capture_output=True, text=True).stdout.splitlines()
