"""What the docker command line 28 and Estiba say of the same images: the same lines, times aside."""

from __future__ import annotations

import json
import subprocess

import pytest

from compat.test_dockerd_runs_through_our_runtime import docker  # noqa: F401 - a fixture: dockerd

pytestmark = [pytest.mark.root("dockerd needs it"), pytest.mark.slow]

BASE = 'FROM scratch\nLABEL kind=base\nCOPY file /file\nENV X=1\nCMD ["/file"]\n'
CHILD = "FROM team/app:1\nLABEL kind=child\nCOPY file /other\n"


@pytest.fixture
def both(docker, estiba_home, tmp_path):  # noqa: F811 - the fixture
    """Runs the same command of both; the images are the same."""
    (tmp_path / "file").write_text("x" * 12_345)
    (tmp_path / "Dockerfile").write_text(BASE)
    (tmp_path / "Child").write_text(CHILD)
    estiba_home.estiba("build", "-q", "-t", "team/app:1", "-t", "team/app:2", "-t", "other", str(tmp_path))
    estiba_home.estiba("build", "-q", "-t", "child:1", "-f", str(tmp_path / "Child"), str(tmp_path))
    archive = f"{estiba_home.directory}/images.tar"
    estiba_home.estiba("save", "-o", archive, "team/app:1", "team/app:2", "other", "child:1")
    docker("load", "-i", archive, check=True)

    def run(*words: str) -> tuple[str, str]:
        theirs = docker(*words)
        ours = estiba_home.estiba(*words, check=False)
        return theirs.stdout, ours.stdout

    yield run
    docker("rmi", "-f", "team/app:1", "team/app:2", "other", "child:1")


def lines(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if not line.startswith("bb "))


@pytest.mark.parametrize(
    "words",
    [
        ("images", "team/app"),
        ("images", "team/app:2"),
        ("images", "-q", "team/app"),
        ("images", "--no-trunc", "child"),
        ("images", "--digests", "child"),
        ("images", "-a", "other"),
        ("images", "--filter", "label=kind=child"),
        ("images", "--filter", "reference=team/*:1"),
        ("images", "--filter", "dangling=true"),
        ("images", "--format", "json", "child"),
        ("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}} {{.Digest}}", "team/app"),
        ("images", "--format", "table {{.ID}}\t{{.Size}}", "child"),
        ("image", "ls", "--format", "{{json .}}", "other"),
        ("history", "-q", "child:1"),
        ("history", "--human=false", "child:1"),
        ("history", "--no-trunc", "--format", "{{.ID}} {{.CreatedBy}} {{.Size}} {{.Comment}}", "child:1"),
        ("history", "--format", "table {{.CreatedBy}}\t{{.Size}}", "child:1"),
        ("image", "inspect", "--format", "{{json .RootFS}} {{.Size}} {{.Created}}", "child:1"),
        ("image", "inspect", "--format", "{{.Id}} {{.RepoTags}} {{.Os}}/{{.Architecture}}", "child:1"),
    ],
    ids=" ".join,
)
def test_a_list_is_the_same(both, words):
    theirs, ours = both(*words)
    if "json" in " ".join(words) and words[:2] != ("image", "inspect"):
        assert [json.loads(line) for line in ours.splitlines()] == [json.loads(line) for line in theirs.splitlines()]
    elif words[0] == "history":
        assert ours == theirs
    else:
        assert lines(ours) == lines(theirs)


def test_an_import_has_the_same_configuration_and_history(both, docker, estiba_home, tmp_path):  # noqa: F811
    subprocess.run(["tar", "-C", str(tmp_path), "-cf", str(tmp_path / "a.tar"), "file"], check=True)
    changes = ("-c", 'CMD ["/file"]', "-c", "ENV A=b", "-c", "EXPOSE 80", "-c", "WORKDIR /srv", "-c", "LABEL k=v")
    docker("import", "-m", "by hand", *changes, str(tmp_path / "a.tar"), "imported:1", check=True)
    estiba_home.estiba("import", "-m", "by hand", *changes, str(tmp_path / "a.tar"), "imported:1")
    (theirs,) = json.loads(docker("image", "inspect", "imported:1").stdout)
    (ours,) = json.loads(estiba_home.estiba("image", "inspect", "imported:1").stdout)
    for field in ("RootFS", "Size", "Comment", "Os", "Architecture"):
        assert ours[field] == theirs[field]
    for config in (ours["Config"], theirs["Config"]):
        for name in [name for name, value in config.items() if not value]:
            del config[name]
    assert ours["Config"] == theirs["Config"]
    told, mine = both("history", "--format", "{{.Size}} {{.Comment}}", "imported:1")
    assert told == mine
    docker("rmi", "imported:1")


def test_a_container_of_theirs_is_imported(docker, estiba_home, tmp_path):  # noqa: F811
    docker("create", "--name", "exported", "bb", "true", check=True)
    docker("export", "-o", f"{tmp_path}/export.tar", "exported", check=True)
    docker("rm", "exported")
    estiba_home.estiba("import", f"{tmp_path}/export.tar", "theirs:1")
    estiba_home.estiba("image", "export", "-o", f"{tmp_path}/ours.tar", "theirs:1")
    docker("import", f"{tmp_path}/ours.tar", "ours:1", check=True)
    assert docker("image", "inspect", "-f", "{{.Os}}", "ours:1").stdout == "linux\n"
    docker("rmi", "ours:1")
