"""Each way on which an image can go, to each tool of the field and back: `docs/interoperation.md` shows the table.

One test for each cell: Estiba brings an image to a place, the peer takes it and sees the same image; the peer brings it
to another such place, and a fresh Estiba takes it with the same layers and the same configuration.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

import peers
from compat.test_containerd_runs_through_our_runtime import ctr  # noqa: F401 - a fixture: containerd
from compat.test_dockerd_runs_through_our_runtime import docker  # noqa: F401 - a fixture: dockerd
from estiba.store.store import Store
from images import busybox_image
from registries import Server
from waiting import wait_until

pytestmark = [pytest.mark.root("peers unpack as root"), pytest.mark.slow, pytest.mark.long]

ARCHIVES = ("docker-archive", "oci-archive")
REGISTRIES = {"estiba's registry": "estiba_registry", "docker-registry": "docker_registry"}
"""Each with the fixture that runs it."""
WAYS: dict[str, tuple[str, ...]] = {
    "docker 28": ("docker-archive", *REGISTRIES),
    "docker 20.10": ("docker-archive", *REGISTRIES),
    "the package docker": ("docker-archive", *REGISTRIES),
    "podman": (*ARCHIVES, "oci", *REGISTRIES),
    "buildah": (*ARCHIVES, "oci", *REGISTRIES),
    "skopeo": (*ARCHIVES, "oci", *REGISTRIES),
    "umoci": ("oci",),
    "ctr": (*ARCHIVES, *REGISTRIES),
}


@pytest.fixture(scope="module")
def estiba_registry(tmp_path_factory) -> Iterator[str]:
    server = Server(str(tmp_path_factory.mktemp("registry") / "storage")).start()
    yield server.address
    server.stop()


@pytest.fixture(scope="module")
def docker_registry(tmp_path_factory) -> Iterator[str]:
    """Debian's docker-registry (distribution 2.8)."""
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    directory = tmp_path_factory.mktemp("docker-registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = directory / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {directory}/data\n"
        f"http:\n  addr: 127.0.0.1:{port}\nlog:\n  level: error\n"
    )
    with open(directory / "log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
    wait_until(lambda: _listens(port) or process.poll() is not None, "docker-registry serves", patience=20)
    assert process.poll() is None, (directory / "log").read_text()
    yield f"127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Ground(NamedTuple):
    """What a cell of the table needs: the peer's name, the kind of place, and what runs for them."""

    peer: str
    way: str
    registry: str
    docker: str
    ctr: Callable


@pytest.fixture(scope="module")
def ground(request) -> Ground:
    """Of the module, so that daemons are up before a test and stay for the next."""
    peer, way = request.param
    needs_docker = peer.startswith("docker") or peer == "the package docker"
    return Ground(
        peer,
        way,
        request.getfixturevalue(REGISTRIES[way]) if way in REGISTRIES else "",
        request.getfixturevalue("docker").directory if needs_docker else "",
        request.getfixturevalue("ctr") if peer == "ctr" else None,
    )


@pytest.fixture
def home(estiba_home):
    """An installation with one image."""
    with Store.open(estiba_home.root) as store:
        busybox_image(store, peers.NAME)
    return estiba_home


@pytest.fixture
def place(ground, home) -> Callable[[str], str]:
    """The address of a new place of the cell's kind."""
    unique = os.urandom(4).hex()

    def make(name: str) -> str:
        if ground.registry:
            return f"docker://{ground.registry}/matrix/{name}-{unique}:1"
        return f"{ground.way}:{home.directory}/{name}" + (":1" if ground.way == "oci" else "")

    return make


def _old_docker() -> str:
    """Debian's client, where the first one on the path is another."""
    program = "/usr/bin/docker"
    if not os.path.exists(program):
        pytest.skip("Debian's docker is not installed")
    return program


@pytest.fixture
def peer(ground, home) -> Iterator[peers.Peer]:
    socket_ = f"{ground.docker}/d.sock"
    if ground.peer == "the package docker":
        library = peers.DockerLibrary(socket_)
        yield library
        library.close()
    elif ground.docker:
        yield peers.DockerCommand("docker" if ground.peer == "docker 28" else _old_docker(), socket_)
    elif ground.peer == "ctr":
        yield peers.Ctr(ground.ctr)
    elif ground.peer == "skopeo":
        yield peers.Skopeo(home.directory)
    elif ground.peer == "umoci":
        yield peers.Umoci(home.directory)
    else:
        yield peers.Containers(ground.peer, home.directory)


CELLS = [(peer, way) for peer, ways in WAYS.items() for way in ways]


@pytest.mark.parametrize("ground", CELLS, ids=[" - ".join(cell) for cell in CELLS], indirect=True)
def test_an_image_goes_there_and_comes_back(ground, peer, home, place, make_estiba_home):
    (ours,) = json.loads(home.estiba("image", "inspect", peers.NAME).stdout)
    peers.estiba_gives(home, place("there"))
    assert peer.take(place("there")) == ours["Id"], "the peer sees the same image"
    peer.give(place("back"))
    back = peers.estiba_takes(make_estiba_home(), place("back"))
    assert peers.what_counts(back) == peers.what_counts(ours)


# Artifacts


@pytest.fixture(scope="module")
def registry(request) -> str:
    return request.getfixturevalue(REGISTRIES[request.param])


@pytest.mark.parametrize("registry", list(REGISTRIES), indirect=True)
def test_files_go_to_the_package_oras_and_come_back(registry, estiba_home, tmp_path):
    oras = pytest.importorskip("oras.client")
    client = oras.OrasClient(insecure=True, hostname=registry)
    (tmp_path / "file.txt").write_text("of estiba")
    name = f"{registry}/artifacts/{os.urandom(4).hex()}"
    estiba_home.estiba("artifact", "push", "-q", f"{name}:ours", f"{tmp_path}/file.txt:text/plain")
    (found,) = client.pull(target=f"{name}:ours", outdir=str(tmp_path / "theirs"))
    with open(found) as file:
        assert file.read() == "of estiba"
    (tmp_path / "file.txt").write_text("of oras")
    _push(client, name, tmp_path)
    told = estiba_home.estiba("artifact", "pull", "-q", "-o", f"{tmp_path}/ours", f"{name}:theirs").stdout
    assert told == f"{tmp_path}/ours/file.txt\n"
    assert (tmp_path / "ours/file.txt").read_text() == "of oras"
    digest = estiba_home.estiba("copy", "-q", f"{name}:theirs", f"oci:{tmp_path}/layout:1").stdout.strip()
    assert digest == estiba_home.estiba("digest", f"{name}:theirs").stdout.strip()


def _push(client, name: str, directory) -> None:
    here = os.getcwd()
    os.chdir(directory)
    try:
        response = client.push(target=f"{name}:theirs", files=["file.txt:text/plain"])
    finally:
        os.chdir(here)
    assert response.status_code == 201
