"""What the docker command line 28 and Estiba say of the same images: the same lines, times aside."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from compat.test_dockerd_runs_through_our_runtime import docker  # noqa: F401 - a fixture: dockerd

pytestmark = [pytest.mark.root("dockerd needs it"), pytest.mark.slow]

BASE = 'FROM scratch\nLABEL kind=base\nCOPY file /file\nENV X=1\nCMD ["/file"]\n'
CHILD = "FROM team/app:1\nLABEL kind=child\nCOPY file /other\n"


class Both:
    """One Estiba and one dockerd with the same images, and a directory with what these were made of."""

    def __init__(self, docker, directory: str) -> None:  # noqa: F811 - the fixture
        self.docker = docker
        self.directory = directory
        program = os.path.join(os.path.dirname(sys.executable), "estiba")
        self._command = [program, "--root", f"{directory}/root", "--run", f"{directory}/run"]

    def estiba(self, *words: str) -> str:
        done = subprocess.run([*self._command, *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def say(self, *words: str) -> tuple[str, str]:
        """What the two print for the same command, Docker first."""
        return self.docker(*words).stdout, self.estiba(*words)


@pytest.fixture(scope="module")
def both(docker, tmp_path_factory):  # noqa: F811 - the fixture
    directory = tmp_path_factory.mktemp("both")
    (directory / "file").write_text("x" * 12_345)
    (directory / "Dockerfile").write_text(BASE)
    (directory / "Child").write_text(CHILD)
    both = Both(docker, str(directory))
    both.estiba("build", "-q", "-t", "team/app:1", "-t", "team/app:2", "-t", "other", str(directory))
    both.estiba("build", "-q", "-t", "child:1", "-f", str(directory / "Child"), str(directory))
    both.estiba("save", "-o", f"{directory}/images.tar", "team/app:1", "team/app:2", "other", "child:1")
    docker("load", "-i", f"{directory}/images.tar", check=True)
    return both


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
    theirs, ours = both.say(*words)
    if "json" in " ".join(words) and words[:2] != ("image", "inspect"):
        assert [json.loads(line) for line in ours.splitlines()] == [json.loads(line) for line in theirs.splitlines()]
    elif words[0] == "history":
        assert ours == theirs
    else:
        assert lines(ours) == lines(theirs)


def test_an_import_has_the_same_configuration_and_history(both):
    archive = f"{both.directory}/a.tar"
    subprocess.run(["tar", "-C", both.directory, "-cf", archive, "file"], check=True)
    changes = ("-c", 'CMD ["/file"]', "-c", "ENV A=b", "-c", "EXPOSE 80", "-c", "WORKDIR /srv", "-c", "LABEL k=v")
    both.say("import", "-m", "by hand", *changes, archive, "imported:1")
    (theirs,), (ours,) = map(json.loads, both.say("image", "inspect", "imported:1"))
    for field in ("RootFS", "Size", "Comment", "Os", "Architecture"):
        assert ours[field] == theirs[field]
    configs = [{name: value for name, value in image["Config"].items() if value} for image in (ours, theirs)]
    assert configs[0] == configs[1]
    told, mine = both.say("history", "--format", "{{.Size}} {{.Comment}}", "imported:1")
    assert told == mine


def test_a_container_of_theirs_is_imported_and_an_export_of_ours_too(both):
    both.docker("create", "--name", "exported", "bb", "true", check=True)
    both.docker("export", "-o", f"{both.directory}/export.tar", "exported", check=True)
    both.docker("rm", "exported")
    both.estiba("import", f"{both.directory}/export.tar", "theirs:1")
    both.estiba("image", "export", "-o", f"{both.directory}/ours.tar", "theirs:1")
    both.docker("import", f"{both.directory}/ours.tar", "ours:1", check=True)
    assert both.docker("image", "inspect", "-f", "{{.Os}}", "ours:1").stdout == "linux\n"
