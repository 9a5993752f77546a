"""`estiba artifact`: files that are no images go to a registry and come back."""

from __future__ import annotations

import json
import os
import sys

import aiohttp
import pytest
from aiohttp import web

registries = sys.modules["estiba_test_registries"]


def test_files_come_back_as_they_were(server, estiba_home, repository, tmp_path):
    name = f"{server.address}/{repository}:1"
    (tmp_path / "chart.yaml").write_text("name: app\n")
    (tmp_path / "large.bin").write_bytes(data := os.urandom(3_000_000))
    words = ["artifact", "push", "-q", name, f"{tmp_path}/chart.yaml:application/yaml", f"{tmp_path}/large.bin"]
    words += ["--artifact-type", "application/x-chart", "--annotation", "made.by=hand"]
    digest = estiba_home.estiba(*words).stdout.strip()
    assert estiba_home.estiba(*words).stdout.strip() == digest, "the same files are the same artifact"
    manifest = json.loads(server.request("GET", f"/v2/{repository}/manifests/1").body)
    assert (manifest["artifactType"], manifest["annotations"]) == ("application/x-chart", {"made.by": "hand"})
    assert manifest["layers"][0]["mediaType"] == "application/yaml"
    told = estiba_home.estiba("artifact", "pull", "-q", "-o", f"{tmp_path}/out", name).stdout.split()
    assert told == [f"{tmp_path}/out/chart.yaml", f"{tmp_path}/out/large.bin"]
    assert (tmp_path / "out/large.bin").read_bytes() == data
    assert sorted(os.listdir(tmp_path / "out")) == ["chart.yaml", "large.bin"]


def test_an_artifact_is_copied_as_it_is(server, make_server, estiba_home, repository, tmp_path):
    name = f"{server.address}/{repository}:1"
    (tmp_path / "file").write_text("text")
    digest = estiba_home.estiba("artifact", "push", "-q", name, f"{tmp_path}/file").stdout.strip()
    other = make_server(name="other")
    assert estiba_home.estiba("copy", "-q", name, f"{other.address}/a:1").stdout.strip() == digest
    assert estiba_home.estiba("copy", "-q", name, f"oci:{tmp_path}/layout:1").stdout.strip() == digest
    refused = estiba_home.estiba("pull", name, check=False)
    assert "is an artifact of type application/vnd.unknown.artifact.v1, not an image that can run" in refused.stderr
    assert f"estiba artifact pull {name}" in refused.stderr


@pytest.mark.parametrize("title", ["../out", "/etc/out", "a/../../out", "a//b", ""])
def test_a_title_leads_nowhere_else(server, estiba_home, repository, tmp_path, title):
    for blob in (b"{}", b"data"):
        server.push_blob(repository, blob)
    value = json.loads(registries.image_manifest(b"{}", b"data"))
    value["layers"][0]["annotations"] = {"org.opencontainers.image.title": title}
    server.push_manifest(repository, "1", json.dumps(value).encode())
    name = f"{server.address}/{repository}:1"
    done = estiba_home.estiba("artifact", "pull", "-o", f"{tmp_path}/deep/er", name, check=False)
    assert (done.returncode, "whose title leads elsewhere" in done.stderr) == (1, True)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("has_list", [True, False])
def test_an_artifact_is_found_by_what_it_refers_to(server, misbehave, estiba_home, repository, tmp_path, has_list):
    address = server.address
    if not has_list:  # as registries were before 1.1

        async def old(request: web.Request) -> web.StreamResponse:
            if "/referrers/" in request.path:
                return web.Response(status=404)
            data = await request.read()
            async with (
                aiohttp.ClientSession() as session,
                session.request(
                    request.method, f"http://{server.address}{request.raw_path}", headers=kept(request), data=data
                ) as answer,
            ):
                headers = {name: answer.headers[name] for name in ("Content-Type",) if name in answer.headers}
                if "Location" in answer.headers:
                    headers["Location"] = answer.headers["Location"].removeprefix(f"http://{server.address}")
                return web.Response(status=answer.status, headers=headers, body=await answer.read())

        def kept(request: web.Request) -> dict[str, str]:
            return {name: request.headers[name] for name in ("Accept", "Content-Type") if name in request.headers}

        address = misbehave(old).address
    image = f"{address}/{repository}:1"
    server.push_image(repository, "1", b"layer")
    (tmp_path / "signature").write_text("signed")
    words = ("artifact", "push", "-q", f"{address}/{repository}", f"{tmp_path}/signature")
    digest = estiba_home.estiba(*words, "--artifact-type", "application/x-sig", "--subject", image).stdout.strip()
    other = estiba_home.estiba(*words, "--artifact-type", "application/x-sbom", "--subject", image).stdout.strip()
    listed = [
        json.loads(line) for line in estiba_home.estiba("referrers", "--format", "json", image).stdout.split("\n")[:-1]
    ]
    assert {(one["Digest"], one["ArtifactType"]) for one in listed} == {
        (digest, "application/x-sig"),
        (other, "application/x-sbom"),
    }
    chosen = estiba_home.estiba("referrers", "--artifact-type", "application/x-sig", "--format", "{{.Digest}}", image)
    assert chosen.stdout == f"{digest}\n"
    assert estiba_home.estiba("tags", image.removesuffix(":1")).stdout.split()[0] == "1"
    elsewhere = estiba_home.estiba(*words, "--subject", f"{address}/elsewhere:1", check=False)
    assert (elsewhere.returncode, "is not in the repository" in elsewhere.stderr) == (1, True)
