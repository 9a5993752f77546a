"""podman and buildah pull from our registry and push to it."""

from __future__ import annotations

import sys

import pytest

from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.registry.client.credentials import NoCredentials
from estiba.registry.client.pull import pull
from estiba.registry.client.push import push

pytestmark = pytest.mark.root


@pytest.fixture
def storage(estiba_home) -> list[str]:
    """A storage of the test's own. Its path is short: podman takes at most 50 characters."""
    home = estiba_home.directory
    return ["--root", f"{home}/containers", "--runroot", f"{home}/run", "--storage-driver", "vfs"]


def test_podman_pulls_and_pushes(server, make_store, tool, storage):
    here, there = make_store("here"), make_store("there")
    image = sys.modules["estiba_test_images"].busybox_image(here)
    push(here, image.id, Reference.parse(f"{server.address}/a:1"), credentials=NoCredentials())
    tool("podman", *storage, "pull", "--tls-verify=false", f"{server.address}/a:1")
    tool("podman", *storage, "tag", f"{server.address}/a:1", f"{server.address}/b:1")
    tool("podman", *storage, "push", "--tls-verify=false", f"{server.address}/b:1")
    record = pull(
        there,
        Reference.parse(f"{server.address}/b:1"),
        platform=Platform.parse("linux/amd64"),
        credentials=NoCredentials(),
    )
    assert there.images.config(record.id).diff_ids == here.images.config(image.id).diff_ids


def test_buildah_builds_on_what_we_pushed(server, make_store, tool, storage, tmp_path):
    store = make_store()
    image = sys.modules["estiba_test_images"].busybox_image(store)
    push(store, image.id, Reference.parse(f"{server.address}/base:1"), credentials=NoCredentials())
    (tmp_path / "added").write_text("hello")
    buildah = ["buildah", *storage]
    container = tool(*buildah, "from", "--tls-verify=false", f"{server.address}/base:1").strip()
    tool(*buildah, "copy", container, str(tmp_path / "added"), "/added")
    tool(*buildah, "commit", "--format", "oci", container, f"{server.address}/built:1")
    tool(*buildah, "push", "--tls-verify=false", f"{server.address}/built:1")
    tool(*buildah, "rm", container)
    record = pull(
        store,
        Reference.parse(f"{server.address}/built:1"),
        platform=Platform.parse("linux/amd64"),
        credentials=NoCredentials(),
    )
    config = store.images.config(record.id)
    assert len(config.diff_ids) == 2
    with open(f"{store.snapshots.directories(config.chain_id)[0]}/added", encoding="utf-8") as file:
        assert file.read() == "hello"
