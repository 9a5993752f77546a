"""One job from end to end; `Work.do` reads as its steps."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, TextIO

from estiba.agent.clone import Git
from estiba.agent.config import Repository
from estiba.agent.pipeline import Job, image_names
from estiba.builder.request import BuildRequest
from estiba.deploy.app import Release
from estiba.deploy.executor import Containers, execute, repair
from estiba.deploy.plan import plan
from estiba.errors import InvalidInput, NotFound
from estiba.graph.cancellation import Cancellation
from estiba.graph.protocols import Progress
from estiba.oci.digest import Digest
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference


class Moved(NamedTuple):
    """The branch has moved on: `head` is what it has now."""

    head: str


class Built(NamedTuple):
    """The job is done: the image that runs now, where it is to run."""

    image_id: Digest


class Builder(Protocol):
    def __call__(self, request: BuildRequest, *, progress: Progress, cancellation: Cancellation) -> Digest:
        """Build the image and give its ID."""


class Pusher(Protocol):
    def __call__(self, image_id: Digest, name: Reference, *, cancellation: Cancellation) -> str:
        """Push an image under a name; gives a line that says what travelled."""


class Work:
    """What an agent does with a job. `directory` holds the work trees; what each part needs comes from above."""

    def __init__(
        self,
        *,
        directory: str,
        git: Git,
        build: Builder,
        push: Pusher,
        containers: Callable[[Cancellation], Containers],
        platform: Platform,
        progress: Callable[[TextIO], Progress],
    ) -> None:
        self._directory = directory
        self._git = git
        self._build = build
        self._push = push
        self._containers = containers
        self._platform = platform
        self._progress = progress
        self._deploying = threading.Lock()

    def clear(self) -> None:
        """Remove what an agent before this one left."""
        shutil.rmtree(self._directory, ignore_errors=True)
        os.makedirs(self._directory, mode=0o700, exist_ok=True)

    def repair(self, app: str, *, say: Callable[[str], None]) -> None:
        """End a deployment of `app` that an agent before this one has not ended: what ran before runs again."""
        with self._deploying:
            repair(app, self._containers(Cancellation()), say=say)

    def do(self, job: Job, repository: Repository, *, log: TextIO, cancellation: Cancellation) -> Built | Moved:
        """Clone, build, push, deploy, in this order; a step that fails ends the job, and what runs goes on running.

        Raises:
            EstibaError: what went wrong. Cancelled: it was given up; nothing is half done.
        """
        head = self._git.head(repository, cancellation=cancellation)
        if head != job.commit:
            return Moved(head)
        names = image_names(repository, job)
        image_id = self._make(job, repository, names, log, cancellation)
        for name in names:
            cancellation.raise_if_set()
            _say(log, f"push {name}: {self._push(image_id, name, cancellation=cancellation)}")
        if repository.deploy is not None:
            release = Release(repository.deploy, image_id, str(names[0]), job.commit[:12])
            with self._deploying:
                cancellation.raise_if_set()
                self._deploy(release, log, cancellation)
        return Built(image_id)

    def _make(
        self, job: Job, repository: Repository, names: tuple[Reference, ...], log: TextIO, cancellation: Cancellation
    ) -> Digest:
        """Clone and build; the clone is gone afterwards."""
        directory = tempfile.mkdtemp(prefix=f"{job.commit[:12]}-", dir=self._directory)
        try:
            _say(log, f"clone {repository.name} {job.branch} {job.commit}")
            work_tree = f"{directory}/tree"
            self._git.fetch(repository, job.commit, work_tree, cancellation=cancellation)
            request = build_request(repository, names, work_tree, self._platform)
            return self._build(request, progress=self._progress(log), cancellation=cancellation)
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def _deploy(self, release: Release, log: TextIO, cancellation: Cancellation) -> None:
        containers = self._containers(cancellation)
        steps = plan(release, containers.actual())
        if not steps:
            _say(log, f"deploy {release.app.name}: this release runs already")
        execute(steps, release, containers, say=lambda line: _say(log, f"deploy {line}"))


def build_request(
    repository: Repository, names: tuple[Reference, ...], work_tree: str, platform: Platform
) -> BuildRequest:
    """The build of a cloned repository.

    Raises:
        NotFound: the context or the Dockerfile is not in it. InvalidInput: it leads out of it.
    """
    context = _inside(work_tree, repository.context)
    if not os.path.isdir(context):
        raise NotFound(f"{repository.name} has no directory {repository.context}")
    path = os.path.normpath(os.path.join(repository.context, repository.dockerfile))
    dockerfile = _text(_inside(work_tree, path))
    if dockerfile is None:
        raise NotFound(f"{repository.name} has no file {path}", remedy="Set dockerfile in the agent's configuration.")
    return BuildRequest(
        context=context,
        dockerfile=dockerfile,
        filename=f"{repository.name}/{path}",
        ignore=_ignore(work_tree, repository.context, path),
        platform=platform,
        tags=names,
        build_args=dict(repository.build_args),
        secrets=_secrets(repository.secrets),
    )


def _ignore(work_tree: str, context: str, dockerfile: str) -> str:
    """`Dockerfile.dockerignore` beside the Dockerfile, else `.dockerignore` of the context."""
    for path in (f"{dockerfile}.dockerignore", os.path.join(context, ".dockerignore")):
        text = _text(_inside(work_tree, path))
        if text is not None:
            return text
    return ""


def _inside(work_tree: str, path: str) -> str:
    """A path of the repository with its links followed; they may come from anybody who can push."""
    root = os.path.realpath(work_tree)
    found = os.path.realpath(os.path.join(root, path))
    if found != root and not found.startswith(root + "/"):
        raise InvalidInput(f"{os.path.normpath(path)} is a link that leads out of the repository")
    return found


def _text(path: str) -> str | None:
    """The text of a file; None where there is none."""
    if not os.path.isfile(path):
        return None
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def _secrets(paths: tuple[tuple[str, str], ...]) -> Mapping[str, bytes]:
    found = {}
    for name, path in paths:
        try:
            with open(path, "rb") as file:
                found[name] = file.read()
        except OSError as error:
            raise NotFound(f"the secret {name} cannot be read: {path}: {error.strerror}") from None
    return found


def _say(log: TextIO, line: str) -> None:
    print(line, file=log, flush=True)
