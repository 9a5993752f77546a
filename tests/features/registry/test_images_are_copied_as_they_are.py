"""`estiba copy`: between registries, layouts and archives; every byte and digest stays."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile

import pytest

registries = sys.modules["estiba_test_registries"]
sha256 = registries.sha256


@pytest.fixture
def image(server, repository):
    """An image of two layers in the server: its name there and its manifest's digest."""
    layers = [registries.layer_of({name: os.urandom(100_000)}) for name in ("one", "two")]
    manifest = server.push_image(repository, "1", *layers, config=registries.config_of(*layers))
    return f"{server.address}/{repository}:1", sha256(manifest)


def copy(home, source: str, destination: str, *flags: str) -> str:
    return home.estiba("copy", "-q", *flags, source, destination).stdout.strip()


@pytest.mark.parametrize("between", ["oci:{0}/layout", "oci:{0}/layout:other", "oci-archive:{0}/a.tar"])
def test_an_image_keeps_its_digest_wherever_it_goes(server, estiba_home, image, tmp_path, repository, between):
    name, digest = image
    place = between.format(tmp_path)
    assert copy(estiba_home, name, place) == digest
    back = f"{server.address}/{repository}/back:2"
    assert copy(estiba_home, place, f"docker://{back}") == digest
    assert estiba_home.estiba("digest", back).stdout.strip() == digest
    assert not [entry for entry in os.listdir(tmp_path) if entry.endswith(".partial")]


def test_within_a_registry_nothing_travels(server, estiba_home, image, repository):
    name, digest = image
    told = estiba_home.estiba("copy", name, f"{server.address}/{repository}/other:1").stdout
    assert told.count("Mounted from") == 3
    assert told.splitlines()[-1] == f"Copied 1 image: 0B travelled; digest: {digest}"
    again = estiba_home.estiba("copy", name, f"{server.address}/{repository}/other:2").stdout
    assert again.count("Layer already exists") == 3


def test_between_registries_blobs_stream(server, make_server, estiba_home, image):
    name, digest = image
    other = make_server(name="other")
    assert copy(estiba_home, name, f"{other.address}/a/b:1") == digest
    manifest = json.loads(other.request("GET", "/v2/a/b/manifests/1").body)
    for blob in (manifest["config"], *manifest["layers"]):
        assert sha256(other.request("GET", f"/v2/a/b/blobs/{blob['digest']}").body) == blob["digest"]


def test_every_image_of_an_index_goes_or_one(server, make_server, estiba_home, repository, tmp_path):
    manifests = []
    for name in ("amd64", "arm64"):
        layer = registries.layer_of({name: b"x"})
        manifests.append(server.push_image(repository, name, layer, config=registries.config_of(layer)))
    entries = [
        registries.descriptor(registries.OCI_MANIFEST, data, platform={"os": "linux", "architecture": machine})
        for data, machine in zip(manifests, ("amd64", "arm64"), strict=True)
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": registries.OCI_INDEX, "manifests": entries}).encode()
    assert server.push_manifest(repository, "all", index, registries.OCI_INDEX).status == 201
    name = f"{server.address}/{repository}:all"
    other = make_server(name="other")
    assert copy(estiba_home, name, f"{other.address}/a:1") == sha256(index)
    assert other.request("GET", f"/v2/a/manifests/{sha256(manifests[1])}").body == manifests[1]
    assert copy(estiba_home, name, f"oci:{tmp_path}/one", "--platform", "linux/arm64") == sha256(manifests[1])
    done = estiba_home.estiba("copy", name, f"docker-archive:{tmp_path}/a.tar", check=False)
    assert "is an index of 2 images, a docker-archive holds one" in done.stderr
    assert not os.path.exists(tmp_path / "a.tar")


def test_a_layout_takes_several_images_and_gives_the_one_that_is_named(server, estiba_home, image, tmp_path):
    name, digest = image
    layout = f"oci:{tmp_path}/layout"
    copy(estiba_home, name, f"{layout}:first")
    other = registries.layer_of({"other": b"x"})
    manifest = server.push_image("test/layouts", "x", other, config=registries.config_of(other))
    copy(estiba_home, f"{server.address}/test/layouts:x", f"{layout}:second")
    target = f"{server.address}/test/layouts"
    assert copy(estiba_home, f"{layout}:first", f"{target}:first") == digest
    assert copy(estiba_home, f"{layout}:second", f"{target}:second") == sha256(manifest)
    done = estiba_home.estiba("copy", layout, f"{target}:third", check=False)
    assert f"{tmp_path}/layout has 2 images; it has first, second" in done.stderr
    copy(estiba_home, f"{target}:second", f"{layout}:first")  # a name is given anew
    assert copy(estiba_home, f"{layout}:first", f"{target}:third") == sha256(manifest)


def test_docker_archives_are_written_and_old_ones_read(server, estiba_home, image, tmp_path):
    name, digest = image
    archive = tmp_path / "a.tar"
    assert copy(estiba_home, name, f"docker-archive:{archive}:app:1") == digest
    with tarfile.open(archive) as tar:
        assert json.load(tar.extractfile("manifest.json"))[0]["RepoTags"] == ["app:1"]
    assert copy(estiba_home, f"docker-archive:{archive}", f"{server.address}/test/archives:1") == digest
    layer = registries.layer_of({"old": b"x"})
    config = registries.config_of(layer)
    entry = [{"Config": "c.json", "RepoTags": ["old:1"], "Layers": ["l/layer.tar"]}]
    with tarfile.open(tmp_path / "old.tar", "w") as tar:
        for member, data in (("c.json", config), ("l/layer.tar", layer), ("manifest.json", json.dumps(entry).encode())):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    copy(estiba_home, f"docker-archive:{tmp_path}/old.tar:old:1", f"{server.address}/test/archives:old")
    manifest = json.loads(server.request("GET", "/v2/test/archives/manifests/old").body)
    assert manifest["config"]["digest"] == sha256(config)
    assert [one["digest"] for one in manifest["layers"]] == [sha256(layer)]


@pytest.mark.root
def test_the_stores_own_images_are_copied(server, estiba_home, image, tmp_path):
    name, digest = image
    estiba_home.estiba("pull", "-q", name)
    assert copy(estiba_home, f"store:{name}", f"oci:{tmp_path}/layout") == digest
    assert "not there yet" in estiba_home.estiba("copy", name, "store:a", check=False).stderr


def test_what_does_not_fit_its_digest_is_not_kept(misbehave, estiba_home, tmp_path):
    content = registries.Content(1000)

    async def handler(request):
        from aiohttp import web

        return content.small(request) or web.Response(body=b"x" * len(content.layer))

    address = misbehave(handler).address
    for place in (f"oci:{tmp_path}/layout", f"oci-archive:{tmp_path}/a.tar"):
        done = estiba_home.estiba("copy", f"{address}/a:1", place, check=False)
        assert (done.returncode, "expected sha256:" in done.stderr) == (1, True), done.stderr
    assert not os.path.exists(tmp_path / "layout" / "index.json")
    assert os.listdir(tmp_path) == ["layout"]


def test_a_cut_download_goes_on(misbehave, estiba_home, tmp_path):
    content = registries.Content(3_000_000)
    starts: list[int] = []

    async def handler(request):
        from aiohttp import web

        if (small := content.small(request)) is not None:
            return small
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        starts.append(start)
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = len(content.layer) - start
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(content.layer) - 1}/{len(content.layer)}"
        await response.prepare(request)
        await response.write(content.layer[start : start + 1_000_000])
        request.transport.close()
        return response

    copy(estiba_home, f"{misbehave(handler).address}/a:1", f"oci:{tmp_path}/layout")
    assert starts == [0, 1_000_000, 2_000_000, 3_000_000]
    assert (tmp_path / "layout" / "blobs" / "sha256" / sha256(content.layer)[7:]).read_bytes() == content.layer


@pytest.mark.parametrize(
    ("source", "destination", "told"),
    [
        ("oci:", "a", "names no file"),
        ("oci:/nowhere", "127.0.0.1:1/a", "/nowhere"),
        ("oci-archive:/nowhere", "127.0.0.1:1/a", "/nowhere"),
        ("A/B", "a", "lower case"),
        ("store:", "a", "names no image"),
    ],
)
def test_a_place_that_is_none_is_told(estiba_home, source, destination, told):
    done = estiba_home.estiba("copy", source, destination, check=False)
    assert (done.returncode, told in done.stderr) == (1, True), done.stderr


def test_skopeo_reads_what_we_copied_and_we_what_it_copied(server, estiba_home, image, tmp_path):
    if subprocess.run(["sh", "-c", "command -v skopeo"], capture_output=True, check=False).returncode:
        pytest.skip("skopeo is not installed")
    name, digest = image
    copy(estiba_home, name, f"oci:{tmp_path}/ours:1")
    inspected = subprocess.run(
        ["skopeo", "inspect", f"oci:{tmp_path}/ours:1"], capture_output=True, text=True, check=True
    )
    assert json.loads(inspected.stdout)["Digest"] == digest
    copy(estiba_home, name, f"docker-archive:{tmp_path}/ours.tar:app:1")
    subprocess.run(["skopeo", "inspect", f"docker-archive:{tmp_path}/ours.tar"], capture_output=True, check=True)
    quiet = {"capture_output": True, "check": True}
    subprocess.run(
        ["skopeo", "copy", "--preserve-digests", "--src-tls-verify=false", f"docker://{name}", f"oci:{tmp_path}/its:1"],
        **quiet,
    )
    assert copy(estiba_home, f"oci:{tmp_path}/its:1", f"{server.address}/test/skopeo:1") == digest
    subprocess.run(
        [
            "skopeo",
            "copy",
            "--preserve-digests",
            "--src-tls-verify=false",
            f"docker://{name}",
            f"oci-archive:{tmp_path}/its.tar:1",
        ],
        **quiet,
    )
    assert copy(estiba_home, f"oci-archive:{tmp_path}/its.tar:1", f"{server.address}/test/skopeo:2") == digest
