"""The commands for images, as a person uses them, in Docker's words and columns."""

from __future__ import annotations

import json
import re

import pytest

import archives
from estiba.oci.image_config import RunConfig

LAYERS = (archives.tar({"etc/": b"", "etc/name": b"low" * 1000}), archives.tar({"b": b"high"}))
CONFIG = archives.config_of(LAYERS, run=RunConfig(cmd=("sh", "-c", "true"), env=("A=1",), labels=(("team", "quay"),)))
ID = CONFIG.image_id


@pytest.fixture
def home(estiba_home):
    """An installation with the image example:1."""
    with open(f"{estiba_home.directory}/in.tar", "wb") as file:
        file.write(archives.docker_archive(LAYERS, config=CONFIG))
    done = estiba_home.estiba("load", "-i", f"{estiba_home.directory}/in.tar")
    assert done.stdout == "Loaded image: example:1\n"
    return estiba_home


def test_images_has_dockers_columns(home):
    heading, line = home.estiba("images").stdout.splitlines()
    assert re.split(r"\s{2,}", heading) == ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]
    assert re.split(r"\s{2,}", line)[:3] == ["example", "1", ID.short]


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["-q"], f"{ID.short}\n"),
        (["-q", "--no-trunc"], f"{ID}\n"),
        (["--format", "{{.Repository}}:{{.Tag}}"], "example:1\n"),
        (["--format", "{{json .ID}}"], f'"{ID.short}"\n'),
        (["-q", "example"], f"{ID.short}\n"),
        (["-q", "example:2"], ""),
        (["-q", "-f", "label=team=quay"], f"{ID.short}\n"),
        (["-q", "-f", "label=team=other"], ""),
        (["-q", "-f", "reference=ex*:1"], f"{ID.short}\n"),
        (["-q", "-f", "dangling=true"], ""),
        (["-q", "-f", "dangling=false"], f"{ID.short}\n"),
    ],
)
def test_images_takes_dockers_flags(home, arguments, output):
    assert home.estiba("images", *arguments).stdout == output
    assert home.estiba("image", "ls", *arguments).stdout == output


def test_an_unknown_filter_names_those_that_there_are(home):
    done = home.estiba("images", "-f", "colour=red", check=False)
    assert done.returncode == 1
    assert "dangling, label, reference" in done.stderr


def test_a_further_name_can_be_given_and_taken_away(home):
    home.estiba("tag", ID.short, "localhost:5000/team/app")
    assert home.estiba("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.splitlines() == [
        "example:1",
        "localhost:5000/team/app:latest",
    ]
    assert home.estiba("rmi", "localhost:5000/team/app").stdout == "Untagged: localhost:5000/team/app:latest\n"
    assert home.estiba("rmi", "example:1").stdout.splitlines()[:2] == ["Untagged: example:1", f"Deleted: {ID}"]
    assert home.estiba("images", "-q").stdout == ""
    assert "no problems" in home.estiba("fsck").stdout
    assert home.estiba("gc").stdout == "Freed 0B in 0 things.\n"


def test_removing_what_is_not_here_fails_but_the_others_go(home):
    done = home.estiba("rmi", "absent", "example:1", check=False)
    assert done.returncode == 1
    assert "no such image: absent" in done.stderr
    assert f"Deleted: {ID}" in done.stdout


def test_history_tells_the_steps_the_newest_first(home):
    lines = home.estiba("history", "example:1", "--format", "{{.ID}} {{.CreatedBy}}").stdout.splitlines()
    assert lines == [f"{ID.short} step 1", "<missing> step 0"]


def test_inspect_has_dockers_fields(home):
    (value,) = json.loads(home.estiba("inspect", "example:1").stdout)
    assert value["Id"] == str(ID)
    assert value["RepoTags"] == ["example:1"]
    assert value["Config"]["Env"] == ["A=1"]
    assert value["Config"]["Labels"] == {"team": "quay"}
    assert value["RootFS"]["Layers"] == [str(diff_id) for diff_id in CONFIG.diff_ids]
    assert value["Architecture"] == "amd64"
    assert home.estiba("inspect", "-f", "{{index .Config.Cmd 2}} {{.Os}}", "example:1").stdout == "true linux\n"
    assert home.estiba("image", "inspect", "--format", "{{.Id}}", ID.short).stdout == f"{ID}\n"


def test_inspect_of_an_unknown_name_fails_after_the_known_ones(home):
    done = home.estiba("inspect", "--type", "image", "absent", "example:1", check=False)
    assert done.returncode == 1
    assert "no such image: absent" in done.stderr
    assert len(json.loads(done.stdout)) == 1


def test_save_and_load_through_pipes(home, make_estiba_home):
    saved = home.estiba("save", "example:1", text=False).stdout
    other = make_estiba_home()
    done = other.estiba("load", input=saved, text=False, stdin=None)
    assert done.stdout == b"Loaded image: example:1\n"
    assert other.estiba("images", "-q", "--no-trunc").stdout == f"{ID}\n"
    assert other.estiba("save", "example:1", text=False).stdout == saved


def test_gc_shows_its_plan_and_does_nothing_on_a_dry_run(home):
    from estiba.store.store import Store

    with Store.open(home.root) as store:
        blob = store.blobs.put(b"unused")
    done = home.estiba("gc", "--dry-run")
    assert re.search(rf"BLOB +{str(blob)[:19]} +6B +no image needs it", done.stdout)
    assert "Would free 6B in 1 thing." in done.stdout
    assert "Freed 6B in 1 thing." in home.estiba("gc").stdout


def test_prune_removes_images_without_a_name_after_a_question(home):
    home.estiba("rmi", "-f", "example:1")
    with open(f"{home.directory}/in.tar", "wb") as file:
        file.write(archives.docker_archive(LAYERS, config=CONFIG, names=()))
    home.estiba("load", "-i", f"{home.directory}/in.tar")
    assert str(ID)[:19] in home.estiba("image", "prune").stdout
    assert home.estiba("images", "-q").stdout == f"{ID.short}\n"
    assert "Total reclaimed space" in home.estiba("image", "prune", "-f").stdout
    assert home.estiba("images", "-q").stdout == ""


def test_df_agrees_with_du(home):
    import subprocess

    rows = [json.loads(line) for line in home.estiba("df", "--format", "json").stdout.splitlines()]
    assert [row["Type"] for row in rows] == ["Images", "Containers", "Local Volumes", "Build Cache", "Other"]
    assert rows[0]["TotalCount"] == "1"
    du = subprocess.run(
        ["du", "-s", "-B1", f"{home.root}/blobs", f"{home.root}/snapshots"], capture_output=True, text=True, check=True
    )
    told = float(rows[0]["Size"].removesuffix("kB")) * 1000
    directories = 8 * 4096  # those of the store itself
    assert abs(sum(int(line.split()[0]) for line in du.stdout.splitlines()) - told) <= directories


def test_a_damaged_blob_is_found(home):
    import os

    with open(f"{home.root}/blobs/sha256/{ID.hex}", "rb") as file:
        data = file.read()
    os.chmod(f"{home.root}/blobs/sha256/{ID.hex}", 0o600)
    with open(f"{home.root}/blobs/sha256/{ID.hex}", "wb") as file:
        file.write(b" " + data)
    done = home.estiba("fsck", check=False)
    assert done.returncode == 1
    assert f"blob {ID}: expected {ID}, got sha256:" in done.stdout
