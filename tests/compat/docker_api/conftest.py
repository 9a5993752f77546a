"""Our daemon and Debian's, with the same image in both."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from docker_daemons import Docker, dockerd, estiba_daemon
from estiba.networks.networks import Networks
from estiba.store.store import Store
from images import busybox_image


class Ours(NamedTuple):
    """Our daemon and the installation behind it."""

    docker: Docker
    command: list[str]
    run: str


@pytest.fixture(scope="module")
def ours() -> Iterator[Ours]:
    if shutil.which("docker") is None:
        pytest.skip("the docker command is not installed")
    directory = tempfile.mkdtemp(prefix="est-api-")
    root, run = f"{directory}/root", f"{directory}/run"
    os.mkdir(root)
    os.mkdir(run, mode=0o700)
    with Store.open(root) as store:
        busybox_image(store)
    estiba = os.path.join(os.path.dirname(sys.executable), "estiba")
    command = [estiba, "--root", root, "--run", run]
    try:
        with estiba_daemon(command, directory) as docker:
            docker("run", "--rm", "busybox", "true", check=True)  # makes the bridge, which stays as long as we do
            yield Ours(docker, command, run)
            ids = docker("ps", "-aq").stdout.split()
            if ids:
                docker("rm", "-f", "-v", *ids)
        Networks(root=root, run=run).teardown()
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def theirs(ours: Ours) -> Iterator[Docker]:
    """Debian's, with our image in it."""
    with dockerd() as docker, tempfile.NamedTemporaryFile() as archive:
        subprocess.run([*ours.command, "save", "-o", archive.name, "busybox"], check=True)
        docker("load", "-i", archive.name, check=True)
        docker("run", "--rm", "busybox", "true", check=True)  # makes its control groups
        yield docker
