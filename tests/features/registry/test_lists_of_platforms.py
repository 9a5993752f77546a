"""`estiba manifest`: one name for the images of several platforms, composed here and pushed as an index."""

from __future__ import annotations

import json
import sys

import pytest
from aiohttp import web

registries = sys.modules["estiba_test_registries"]
sha256 = registries.sha256

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


def push_image(server, repository: str, tag: str, architecture: str, *, media_type: str = registries.OCI_MANIFEST):
    """An image for one architecture; gives its manifest's bytes."""
    layer = registries.layer_of({architecture: b"x"})
    config = json.dumps({**json.loads(registries.config_of(layer)), "architecture": architecture}).encode()
    manifest = server.push_image(repository, tag, layer, config=config)
    if media_type != registries.OCI_MANIFEST:
        manifest = json.dumps({**json.loads(manifest), "mediaType": media_type}).encode()
        assert server.push_manifest(repository, tag, manifest, media_type).status == 201
    return manifest


@pytest.fixture
def images(server, repository):
    """The names of images for two architectures, and their manifests' bytes."""
    made = {machine: push_image(server, repository, machine, machine) for machine in ("amd64", "arm64")}
    return [f"{server.address}/{repository}:{machine}" for machine in made], list(made.values())


def platforms(document: dict) -> list[dict]:
    return [entry.get("platform") for entry in document["manifests"]]


def test_a_list_is_created_annotated_pushed_and_forgotten(server, estiba_home, repository, images):
    names, manifests = images
    there = f"{server.address}/{repository}/both:1"
    assert estiba_home.estiba("manifest", "create", there, *names).stdout == f"Created manifest list {there}\n"
    estiba_home.estiba(
        "manifest", "annotate", there, names[1], "--variant", "v9", "--os-features", "a,b", "--os-version", "10"
    )
    told = estiba_home.estiba("manifest", "push", "--purge", there).stdout.splitlines()
    digests = [sha256(manifest) for manifest in manifests]
    name = there.removesuffix(":1")
    assert told[:2] == [f"Pushed ref {name}@{digest} with digest: {digest}" for digest in digests]
    stored = server.request("GET", f"/v2/{repository}/both/manifests/1")
    assert (stored.headers["Content-Type"], sha256(stored.body)) == (registries.OCI_INDEX, told[2])
    assert [entry["digest"] for entry in stored.json["manifests"]] == digests
    assert platforms(stored.json) == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux", "os.features": ["a", "b"], "os.version": "10", "variant": "v9"},
    ]
    for digest, manifest in zip(digests, manifests, strict=True):
        assert server.request("GET", f"/v2/{repository}/both/manifests/{digest}").body == manifest
    gone = estiba_home.estiba("manifest", "push", there, check=False)
    assert (gone.returncode, gone.stderr.splitlines()[0]) == (1, f"estiba: no such manifest list: {there}")


def test_a_list_is_amended_only_when_that_is_asked_for(server, estiba_home, repository, images):
    names, _ = images
    there = f"{server.address}/{repository}/both"
    estiba_home.estiba("manifest", "create", there, names[0])
    refused = estiba_home.estiba("manifest", "create", there, names[1], check=False)
    assert (refused.returncode, refused.stderr.splitlines()[0]) == (
        1,
        f"estiba: there is a list {there}:latest already",
    )
    estiba_home.estiba("manifest", "create", "--amend", there, names[1], names[0])
    shown = json.loads(estiba_home.estiba("manifest", "inspect", there).stdout)
    assert [platform["architecture"] for platform in platforms(shown)] == ["amd64", "arm64"]
    assert estiba_home.estiba("manifest", "rm", there).stdout == ""
    assert estiba_home.estiba("manifest", "rm", there, check=False).returncode == 1


def test_images_of_another_registry_travel(server, make_server, estiba_home, images):
    names, manifests = images
    other = make_server(name="other")
    estiba_home.estiba("manifest", "create", f"{other.address}/both:1", *names)
    estiba_home.estiba("manifest", "push", f"{other.address}/both:1")
    for manifest in manifests:
        assert other.request("GET", f"/v2/both/manifests/{sha256(manifest)}").body == manifest
        layer = json.loads(manifest)["layers"][0]["digest"]
        assert sha256(other.request("GET", f"/v2/both/blobs/{layer}").body) == layer


def test_dockers_manifests_make_a_docker_list(server, estiba_home, repository):
    push_image(server, repository, "1", "amd64", media_type=DOCKER_MANIFEST)
    name = f"{server.address}/{repository}"
    estiba_home.estiba("manifest", "create", f"{name}:all", f"{name}:1")
    estiba_home.estiba("manifest", "push", f"{name}:all")
    stored = server.request("GET", f"/v2/{repository}/manifests/all", headers={"Accept": DOCKER_LIST})
    assert stored.headers["Content-Type"] == stored.json["mediaType"] == DOCKER_LIST


def test_an_index_gives_its_images_and_what_attests_them(server, estiba_home, repository, images):
    names, manifests = images
    statement = registries.image_manifest(b"{}", b"statement")
    for blob in (b"{}", b"statement"):
        server.push_blob(repository, blob)
    server.push_manifest(repository, sha256(statement), statement)
    entries = [
        registries.descriptor(registries.OCI_MANIFEST, manifests[0], platform={"os": "linux", "architecture": "amd64"}),
        registries.descriptor(
            registries.OCI_MANIFEST,
            statement,
            platform={"os": "unknown", "architecture": "unknown"},
            annotations={
                "vnd.docker.reference.digest": sha256(manifests[0]),
                "vnd.docker.reference.type": "attestation-manifest",
            },
        ),
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": registries.OCI_INDEX, "manifests": entries}).encode()
    server.push_manifest(repository, "attested", index, registries.OCI_INDEX)
    there = f"{server.address}/{repository}/all:1"
    estiba_home.estiba("manifest", "create", there, f"{server.address}/{repository}:attested", names[1])
    estiba_home.estiba("manifest", "push", there)
    stored = server.request("GET", f"/v2/{repository}/all/manifests/1").json
    assert stored["manifests"][:2] == entries
    assert platforms(stored)[2] == {"architecture": "arm64", "os": "linux"}
    assert server.request("GET", f"/v2/{repository}/all/manifests/{sha256(statement)}").body == statement


def test_inspect_tells_each_manifest_with_its_descriptor(server, estiba_home, repository, images):
    names, manifests = images
    there = f"{server.address}/{repository}:both"
    estiba_home.estiba("manifest", "create", there, *names)
    here = json.loads(estiba_home.estiba("manifest", "inspect", "-v", there).stdout)
    assert [one["Ref"] for one in here] == names
    estiba_home.estiba("manifest", "push", "-p", there)
    pushed = json.loads(estiba_home.estiba("manifest", "inspect", "-v", there).stdout)
    assert [one["Ref"] for one in pushed] == [f"{there}@{sha256(manifest)}" for manifest in manifests]
    for one, other, manifest in zip(here, pushed, manifests, strict=True):
        assert one["OCIManifest"] == other["OCIManifest"] == json.loads(manifest)
        assert one["Descriptor"] == other["Descriptor"]
    single = json.loads(estiba_home.estiba("manifest", "inspect", "--verbose", names[1]).stdout)
    assert single == here[1]
    raw = estiba_home.estiba("manifest", "inspect", "--raw", names[0]).stdout
    assert raw.encode() == manifests[0]


def test_one_image_of_a_list_is_looked_at(server, estiba_home, repository, images):
    names, manifests = images
    there = f"{server.address}/{repository}:one"
    estiba_home.estiba("manifest", "create", there, names[0])
    shown = json.loads(estiba_home.estiba("manifest", "inspect", there, names[0]).stdout)
    assert shown == json.loads(manifests[0])
    missing = estiba_home.estiba("manifest", "inspect", there, names[1], check=False)
    assert missing.stderr.startswith(f"estiba: {names[1]} is not in the list {there}")


def test_what_no_machine_is_called_is_no_platform(server, estiba_home, repository, images):
    there = f"{server.address}/{repository}:odd"
    estiba_home.estiba("manifest", "create", there, images[0][0])
    done = estiba_home.estiba("manifest", "annotate", "--arch", "amd46", there, images[0][0], check=False)
    assert done.returncode == 1
    assert "would be for the unknown platform linux/amd46" in done.stderr


def test_a_list_tells_for_which_platform_each_image_is(server, estiba_home, repository):
    for blob in (b"{}", b"data"):
        server.push_blob(repository, blob)
    value = json.loads(registries.image_manifest(b"{}", b"data"))
    value["config"]["mediaType"] = registries.OCI_EMPTY
    server.push_manifest(repository, "artifact", json.dumps(value).encode())
    name = f"{server.address}/{repository}"
    estiba_home.estiba("manifest", "create", f"{name}:list", f"{name}:artifact")
    refused = estiba_home.estiba("manifest", "push", f"{name}:list", check=False)
    assert "does not say for which operating system and architecture it is" in refused.stderr
    estiba_home.estiba("manifest", "annotate", "--os", "linux", "--arch", "arm64", f"{name}:list", f"{name}:artifact")
    estiba_home.estiba("manifest", "push", f"{name}:list")
    assert platforms(server.request("GET", f"/v2/{repository}/manifests/list").json) == [
        {"architecture": "arm64", "os": "linux"}
    ]


def test_what_is_not_there_begins_no_list(server, estiba_home, repository):
    there = f"{server.address}/{repository}:never"
    assert estiba_home.estiba("manifest", "create", there, f"{there}-was", check=False).returncode == 1
    assert estiba_home.estiba("manifest", "rm", there, check=False).returncode == 1


def test_an_old_manifest_is_refused_with_what_to_do(misbehave, estiba_home):
    body = json.dumps({"schemaVersion": 1, "name": "old", "tag": "1", "fsLayers": [], "history": []})

    async def old(request: web.Request) -> web.Response:
        return web.Response(text=body, content_type="application/vnd.docker.distribution.manifest.v1+prettyjws")

    name = f"{misbehave(old).address}/old:1"
    for command in (("pull",), ("manifest", "inspect"), ("copy",)):
        destination = [f"oci:{estiba_home.directory}/layout"] if command == ("copy",) else []
        done = estiba_home.estiba(*command, name, *destination, check=False)
        assert done.returncode == 1
        assert "schema 1, which was withdrawn in 2015" in done.stderr
        assert "Push the image again with any current tool." in done.stderr
