"""One job from end to end with parts that only remember; and what of a repository becomes a build."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from estiba.agent.config import Repository
from estiba.agent.pipeline import Job
from estiba.agent.work import Built, Moved, Work, build_request
from estiba.builder.request import BuildRequest
from estiba.deploy.app import App
from estiba.deploy.memory import MemoryContainers
from estiba.errors import InvalidInput, NotFound, Unavailable
from estiba.graph.cancellation import Cancellation, Cancelled
from estiba.oci.digest import Digest
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference

HEAD = "a" * 40
IMAGE = Digest.of(b"image")
PLATFORM = Platform.parse("linux/amd64")
NAMES = (Reference.parse("localhost:5000/q:latest"), Reference.parse("localhost:5000/q:aaaaaaaaaaaa"))


def repository(**changes: object) -> Repository:
    tags = ("latest", "{short_sha}")
    one = Repository(
        "ana/q", "/q.git", "main", b"s", ".", "Dockerfile", "localhost:5000/q", tags, (), (), App("web", restart="no")
    )
    return one._replace(**changes)


class Parts:
    """What `Work` is joined with; `events` tells what it did with them."""

    def __init__(self, directory: Path, *, head: str = HEAD) -> None:
        self.events: list[str] = []
        self.branch_head = head
        self.machine = MemoryContainers()
        self.directory = directory
        self.failing = ""
        self.work = Work(
            directory=str(directory),
            git=self,
            build=self.build,
            push=self.push,
            containers=lambda cancellation: self.machine,
            platform=PLATFORM,
            progress=lambda log: None,
        )
        self.work.clear()

    def head(self, repository: Repository, *, cancellation: Cancellation) -> str:
        self._did("head")
        return self.branch_head

    def fetch(self, repository: Repository, commit: str, directory: str, *, cancellation: Cancellation) -> None:
        self._did("fetch")
        Path(directory).mkdir()
        (Path(directory) / "Dockerfile").write_text("FROM scratch\n")

    def build(self, request: BuildRequest, *, progress: object, cancellation: Cancellation) -> Digest:
        self._did("build")
        assert (request.dockerfile, request.filename, request.tags) == ("FROM scratch\n", "ana/q/Dockerfile", NAMES)
        return IMAGE

    def push(self, image_id: Digest, name: Reference, *, cancellation: Cancellation) -> str:
        self._did(f"push {name.tag}")
        return "sent"

    def _did(self, what: str) -> None:
        if what == self.failing:
            raise Unavailable(f"{what} is broken")
        self.events.append(what)

    def do(self, **changes: object) -> tuple[object, str]:
        log = io.StringIO()
        outcome = self.work.do(Job("ana/q", "main", HEAD), repository(**changes), log=log, cancellation=Cancellation())
        return outcome, log.getvalue()


def test_the_steps_of_a_job(tmp_path) -> None:
    parts = Parts(tmp_path / "work")
    outcome, log = parts.do()
    assert outcome == Built(IMAGE)
    assert parts.events == ["head", "fetch", "build", "push latest", "push aaaaaaaaaaaa"]
    assert parts.machine.actual()["web"].version == "a" * 12
    assert log.splitlines() == [
        f"clone ana/q main {HEAD}",
        "push localhost:5000/q:latest: sent",
        "push localhost:5000/q:aaaaaaaaaaaa: sent",
        "deploy create web.next: nothing of web is there yet",
        "deploy start web.next: it is the first release",
        "deploy probe web.next: it must answer before it counts",
        "deploy rename web.next to web: it has answered",
    ]
    assert list((tmp_path / "work").iterdir()) == []


def test_without_a_deployment_it_ends_with_the_push(tmp_path) -> None:
    parts = Parts(tmp_path / "work")
    assert parts.do(deploy=None)[0] == Built(IMAGE)
    assert parts.machine.changes == []


def test_a_branch_that_has_moved_on_is_not_touched(tmp_path) -> None:
    parts = Parts(tmp_path / "work", head="b" * 40)
    assert parts.do() == (Moved("b" * 40), "")
    assert parts.events == ["head"]


@pytest.mark.parametrize("failing", ["head", "fetch", "build", "push latest", "push aaaaaaaaaaaa"])
def test_a_step_that_fails_ends_the_job_before_anything_is_deployed(tmp_path, failing: str) -> None:
    parts = Parts(tmp_path / "work")
    parts.failing = failing
    with pytest.raises(Unavailable, match=f"{failing} is broken"):
        parts.do()
    assert parts.machine.changes == []
    assert list((tmp_path / "work").iterdir()) == []


def test_a_job_that_is_given_up_deploys_nothing(tmp_path) -> None:
    parts = Parts(tmp_path / "work")
    cancellation = Cancellation()
    cancellation.set()
    with pytest.raises(Cancelled):
        parts.work.do(Job("ana/q", "main", HEAD), repository(), log=io.StringIO(), cancellation=cancellation)
    assert parts.machine.changes == []


def test_what_an_agent_before_left_is_cleared(tmp_path) -> None:
    parts = Parts(tmp_path / "work")
    (tmp_path / "work/left/tree").mkdir(parents=True)
    parts.work.clear()
    assert list((tmp_path / "work").iterdir()) == []


# What of a repository becomes a build


@pytest.fixture
def tree(tmp_path) -> Path:
    tree = tmp_path / "tree"
    (tree / "api/docker").mkdir(parents=True)
    (tree / "api/docker/Dockerfile").write_text("FROM scratch\n")
    (tree / "api/.dockerignore").write_text("*.log\n")
    return tree


def request(tree: Path, **changes: object) -> BuildRequest:
    changes = {"context": "api", "dockerfile": "docker/Dockerfile"} | changes
    return build_request(repository(**changes), NAMES, str(tree), PLATFORM)


def test_the_whole_request(tree, tmp_path) -> None:
    (tmp_path / "ca").write_bytes(b"certificates")
    assert request(tree, build_args=(("A", "1"),), secrets=(("ca", str(tmp_path / "ca")),)) == BuildRequest(
        context=str(tree / "api"),
        dockerfile="FROM scratch\n",
        filename="ana/q/api/docker/Dockerfile",
        ignore="*.log\n",
        platform=PLATFORM,
        tags=NAMES,
        build_args={"A": "1"},
        secrets={"ca": b"certificates"},
    )


def test_an_ignore_file_beside_the_dockerfile_wins(tree) -> None:
    (tree / "api/docker/Dockerfile.dockerignore").write_text("docs\n")
    assert request(tree).ignore == "docs\n"


@pytest.mark.parametrize("name", ["api", "api/docker/Dockerfile", "api/.dockerignore", "api/docker"])
@pytest.mark.parametrize("target", ["/etc", "/etc/passwd", "../..", "../../.."])
def test_no_link_leads_out_of_the_repository(tree, tmp_path, name: str, target: str) -> None:
    place = tree / name
    place.rename(tmp_path / "aside")
    place.symlink_to(target)
    with pytest.raises((InvalidInput, NotFound)) as caught:
        request(tree)
    assert "passwd" not in str(caught.value) or "leads out" in str(caught.value)


def test_a_link_inside_the_repository_is_followed(tree) -> None:
    (tree / "api/Dockerfile").symlink_to("docker/Dockerfile")
    assert request(tree, dockerfile="Dockerfile").dockerfile == "FROM scratch\n"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"context": "web"}, "ana/q has no directory web"),
        ({"dockerfile": "Containerfile"}, "ana/q has no file api/Containerfile"),
        ({"dockerfile": "docker"}, "ana/q has no file api/docker"),
        ({"secrets": (("ca", "/nowhere"),)}, "the secret ca cannot be read: /nowhere: No such file or directory"),
    ],
)
def test_what_is_missing_is_named(tree, changes: dict[str, object], says: str) -> None:
    with pytest.raises(NotFound) as caught:
        request(tree, **changes)
    assert caught.value.message == says
