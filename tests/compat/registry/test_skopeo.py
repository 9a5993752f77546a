"""skopeo copies from our registry and to it."""

from __future__ import annotations

import json
import sys

import pytest

from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.registry.client.credentials import NoCredentials
from estiba.registry.client.pull import pull
from estiba.registry.client.push import MOUNTED, push

pytestmark = pytest.mark.root


def busybox_image(store):
    return sys.modules["estiba_test_images"].busybox_image(store)


@pytest.mark.parametrize("format_", ["oci", "v2s2"])
def test_an_image_goes_to_a_layout_and_back(server, make_store, tool, tmp_path, format_):
    here, there = make_store("here"), make_store("there")
    image = busybox_image(here)
    result = push(here, image.id, Reference.parse(f"{server.address}/a:1"), credentials=NoCredentials())
    layout = f"oci:{tmp_path}/layout:a"
    tool("skopeo", "copy", "--src-tls-verify=false", f"docker://{server.address}/a:1", layout)
    index = json.loads((tmp_path / "layout" / "index.json").read_text())
    assert index["manifests"][0]["digest"] == str(result.digest), "the manifest is the same to the byte"
    target = f"docker://{server.address}/b:1"
    tool("skopeo", "copy", "--format", format_, "--dest-tls-verify=false", layout, target)
    record = pull(
        there,
        Reference.parse(f"{server.address}/b:1"),
        platform=Platform.parse("linux/amd64"),
        credentials=NoCredentials(),
    )
    if format_ == "oci":
        assert (record.id, record.manifest) == (image.id, result.digest)
    assert there.images.config(record.id).diff_ids == here.images.config(image.id).diff_ids


def test_skopeo_lists_inspects_and_deletes(server, make_store, tool):
    store = make_store()
    image = busybox_image(store)
    for tag in ("1", "2"):
        push(store, image.id, Reference.parse(f"{server.address}/team/a:{tag}"), credentials=NoCredentials())
    name = f"docker://{server.address}/team/a"
    assert json.loads(tool("skopeo", "list-tags", "--tls-verify=false", name))["Tags"] == ["1", "2"]
    inspected = json.loads(tool("skopeo", "inspect", "--tls-verify=false", f"{name}:1"))
    assert inspected["Architecture"] == "amd64"
    tool("skopeo", "delete", "--tls-verify=false", f"{name}:1")
    assert json.loads(tool("skopeo", "list-tags", "--tls-verify=false", name))["Tags"] == []


def test_zstd_layers_travel_too(server, make_store, tool, tmp_path):
    store = make_store()
    image = busybox_image(store)
    reference = Reference.parse(f"{server.address}/a:zstd")
    push(store, image.id, reference, credentials=NoCredentials(), compression="zstd")
    tool("skopeo", "copy", "--src-tls-verify=false", f"docker://{reference}", f"dir:{tmp_path}/out")


def test_docker_registry_takes_and_gives_our_images(make_store, docker_registry):
    here, there = make_store("here"), make_store("there")
    image = busybox_image(here)
    first = push(here, image.id, Reference.parse(f"{docker_registry}/team/a:1"), credentials=NoCredentials())
    second = push(here, image.id, Reference.parse(f"{docker_registry}/team/b:1"), credentials=NoCredentials())
    assert {layer.how for layer in second.layers} == {MOUNTED}
    record = pull(
        there,
        Reference.parse(f"{docker_registry}/team/b:1"),
        platform=Platform.parse("linux/amd64"),
        credentials=NoCredentials(),
    )
    assert (record.id, record.manifest) == (image.id, first.digest)


@pytest.fixture
def docker_registry(tmp_path):
    """Debian's docker-registry (distribution 2.8) on a free port."""
    import shutil
    import socket
    import subprocess
    import time

    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {tmp_path}/docker-registry\n"
        f"http:\n  addr: 127.0.0.1:{port}\nlog:\n  level: error\n"
    )
    with open(tmp_path / "docker-registry.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, "docker-registry did not start"
    yield f"127.0.0.1:{port}"
    process.terminate()
    process.wait(20)
