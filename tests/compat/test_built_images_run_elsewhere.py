"""What Estiba builds runs under podman, is read by skopeo and umoci; what buildah builds runs under Estiba."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from registries import Server

pytestmark = pytest.mark.root

DOCKERFILE = """\
FROM busybox AS made
RUN mkdir /out && echo one > /out/a && ln /out/a /out/b && chown -R 33:33 /out && chmod 4755 /out/b
FROM busybox
ENV GREETING=hello
WORKDIR /srv/app
COPY --from=made /out out/
COPY main.sh .
RUN rm -r /var/www && echo $GREETING > note
USER www-data
ENTRYPOINT ["/srv/app/main.sh"]
CMD ["argument"]
"""
PROGRAM = """\
#!/bin/sh
echo "$GREETING $1 as $(id -un) in $PWD"
cat note out/a
stat -c '%a %u:%g %h' out/b
ls -d /var/www 2>/dev/null || echo gone
"""
SAID = "hello argument as www-data in /srv/app\nhello\none\n4755 33:33 2\ngone\n"


def needs(*tools: str) -> pytest.MarkDecorator:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


class Peers:
    """podman and buildah with a storage and a state of the test's own."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.storage = ["--root", f"{directory}/theirs", "--runroot", f"{directory}/theirs-run"]
        self.storage += ["--storage-driver", "vfs"]

    def podman(self, *words: str) -> str:
        # With podman's usual crun some machines' mix of cgroups does not work.
        runtime = shutil.which("runc") or os.path.join(os.path.dirname(sys.executable), "estiba-runtime")
        own = ["--tmpdir", f"{self.directory}/theirs-tmp", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]
        return call("podman", *self.storage, *own, "--runtime", runtime, *words)

    def run(self, image: str) -> str:
        """What the image says under podman."""
        # podman asks for higher limits than its own, which takes a capability that not every machine gives.
        limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
        return self.podman("run", "--rm", "--network", "none", *limits, image)

    def buildah(self, *words: str) -> str:
        return call("buildah", *self.storage, *words)


def call(*command: str) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def home(estiba_home: Any, tmp_path: Path) -> Any:
    """An installation with the image `built`, on a busybox of its own."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "main.sh").write_text(PROGRAM)
    (context / "main.sh").chmod(0o755)
    estiba_home.estiba("bootstrap", "-q", "busybox")
    estiba_home.estiba("build", "-q", "-t", "built", "-t", "example/built:2", str(context))
    assert estiba_home.estiba("run", "--rm", "--network", "none", "built").stdout == SAID
    return estiba_home


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(str(tmp_path / "registry")).start()
    yield running
    running.stop()


@pytest.fixture
def peers(home: Any) -> Iterator[Peers]:
    parents = {path for path in _cgroups() if os.path.isdir(path)}
    yield Peers(home.directory)  # a short path: podman's has at most 50 characters
    for path in _cgroups():
        if os.path.isdir(path) and path not in parents:
            for directory, _, _ in os.walk(path, topdown=False):
                os.rmdir(directory)  # conmon's, which podman leaves with every runtime


def _cgroups() -> list[str]:
    top = "/sys/fs/cgroup"
    return [f"{top}/libpod_parent", *(f"{top}/{name}/libpod_parent" for name in os.listdir(top))]


@needs("podman", "conmon")
@pytest.mark.parametrize("way", ["save", "oci", "docker"])
def test_podman_runs_an_image_that_came_in_an_archive(home: Any, peers: Peers, tmp_path: Path, way: str) -> None:
    archive = f"{tmp_path}/built.tar"
    if way == "save":
        home.estiba("save", "-o", archive, "built")
    else:
        home.estiba("build", "-q", "-t", "built", "-o", f"type={way},dest={archive}", str(tmp_path / "context"))
    form = "oci-archive" if way == "oci" else "docker-archive"
    image = peers.podman("pull", "-q", f"{form}:{archive}").strip()
    # A line for each name.
    assert {f"sha256:{image}"} == set(home.estiba("images", "-q", "--no-trunc", "built").stdout.split())
    assert peers.run(image) == SAID


@needs("podman", "conmon", "skopeo")
def test_podman_runs_and_skopeo_inspects_what_our_registry_gives(home: Any, peers: Peers, server: Server) -> None:
    name = f"{server.address}/team/built:1"
    home.estiba("tag", "built", name)
    home.estiba("push", name)
    peers.podman("pull", "-q", "--tls-verify=false", name)
    assert peers.run(name) == SAID
    inspected = json.loads(call("skopeo", "inspect", "--tls-verify=false", f"docker://{name}"))
    assert "GREETING=hello" in inspected["Env"]
    assert len(inspected["Layers"]) == 5
    config = json.loads(call("skopeo", "inspect", "--config", "--tls-verify=false", f"docker://{name}"))
    assert config["config"]["Entrypoint"] == ["/srv/app/main.sh"]
    assert config["history"][-1]["created_by"] == 'CMD ["argument"]'
    assert sum(not each.get("empty_layer", False) for each in config["history"]) == 5


@needs("umoci")
def test_umoci_unpacks_the_layout_of_a_built_image(home: Any, tmp_path: Path) -> None:
    home.estiba("image", "layout", f"{tmp_path}/layout", "example/built:2")
    call("umoci", "unpack", "--image", f"{tmp_path}/layout:2", f"{tmp_path}/bundle")
    root = tmp_path / "bundle" / "rootfs"
    assert (root / "srv/app/out/a").samefile(root / "srv/app/out/b")
    assert (root / "srv/app/out/b").stat().st_mode & 0o7777 == 0o4755
    assert not (root / "var/www").exists()
    config = json.loads((tmp_path / "bundle" / "config.json").read_text())
    assert config["process"]["args"] == ["/srv/app/main.sh", "argument"]


@needs("buildah")
@pytest.mark.parametrize("way", ["docker-archive", "oci-archive", "registry"])
def test_estiba_runs_what_buildah_built(home: Any, peers: Peers, server: Server, tmp_path: Path, way: str) -> None:
    home.estiba("save", "-o", f"{tmp_path}/busybox.tar", "busybox")
    peers.buildah("pull", "-q", f"docker-archive:{tmp_path}/busybox.tar")
    bud = ["bud", "--isolation", "chroot", "--pull-never", "-q", "-t", "theirs", str(tmp_path / "context")]
    image = peers.buildah(*bud).split()[-1]
    if way == "registry":
        name = f"{server.address}/theirs:1"
        peers.buildah("push", "-q", "--tls-verify=false", image, f"docker://{name}")
        home.estiba("pull", name)
    else:
        name = "example/theirs:1"
        peers.buildah("push", "-q", image, f"{way}:{tmp_path}/theirs.tar:{name}")
        home.estiba("load", "-i", f"{tmp_path}/theirs.tar")
    # buildah has no hard links of its own in a COPY between stages.
    said = home.estiba("run", "--rm", "--network", "none", name).stdout
    assert said in (SAID, SAID.replace("33:33 2", "33:33 1"))
