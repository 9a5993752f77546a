"""`estiba artifact`: files that are no images go to a registry and come back."""

from __future__ import annotations

import json
import os
import sys

import pytest

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
