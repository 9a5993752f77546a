"""Lists that `estiba manifest` and `docker manifest` compose: the same documents, which each shows of the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from estiba.oci import mediatypes

registries = sys.modules["estiba_test_registries"]


@pytest.fixture
def docker(tool, tmp_path):
    """`docker manifest`, which needs no daemon; what it keeps lies in the test's directory."""

    def run(*words: str) -> str:
        tool("docker", "--version")  # skips where there is none
        environment = {**os.environ, "DOCKER_CONFIG": str(tmp_path / "docker")}
        done = subprocess.run(
            ["docker", "manifest", words[0], "--insecure", *words[1:]] if words[0] != "annotate" else
            ["docker", "manifest", *words],
            capture_output=True, text=True, timeout=60, check=False, env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def push_images(server, media_type: str) -> list[str]:
    names = []
    for architecture in ("amd64", "arm64"):
        layer = registries.layer_of({architecture: b"x"})
        value = {**json.loads(registries.config_of(layer)), "architecture": architecture}
        manifest = json.loads(server.push_image("a/image", architecture, layer, config=json.dumps(value).encode()))
        data = json.dumps({**manifest, "mediaType": media_type}).encode()
        assert server.push_manifest("a/image", architecture, data, media_type).status == 201
        names.append(f"{server.address}/a/image:{architecture}")
    return names


@pytest.mark.parametrize("media_type", [mediatypes.OCI_MANIFEST, mediatypes.DOCKER_MANIFEST])
def test_both_make_the_same_list_and_show_the_same(server, docker, make_estiba_home, media_type):
    home = make_estiba_home()
    names = push_images(server, media_type)
    ours, theirs = f"{server.address}/a/ours:1", f"{server.address}/a/theirs:1"
    notes = ("--variant", "v8", "--os-features", "x,y", "--os-version", "3")
    home.estiba("manifest", "create", ours, *names)
    home.estiba("manifest", "annotate", *notes, ours, names[1])
    docker("create", theirs, *names)
    docker("annotate", *notes, theirs, names[1])
    told = home.estiba("manifest", "push", ours).stdout.replace("/ours", "/theirs").splitlines()
    assert told[:-1] == docker("push", theirs).splitlines()[:-1], "the last line is the list's own digest"
    documents = [json.loads(server.request("GET", f"/v2/a/{name}/manifests/1").body) for name in ("ours", "theirs")]
    assert documents[0] == documents[1]
    home.estiba("manifest", "rm", ours)
    for flags in ((), ("-v",)):
        shown = json.loads(home.estiba("manifest", "inspect", *flags, ours).stdout)
        assert shown == json.loads(docker("inspect", *flags, ours))
    assert json.loads(home.estiba("manifest", "inspect", "-v", names[0]).stdout) == json.loads(
        docker("inspect", "-v", names[0])
    )
