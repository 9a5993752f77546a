"""Vertices: the steps of a build as values, each addressed by its content.

An operation tells what is done; a `Vertex` joins it to the vertices whose results it needs. `inputs[0]` of a step is
the filesystem that it changes. The digest of a vertex covers its operation and its inputs' digests and nothing else:
neither its name nor its place in the file, so the same step written twice is one step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from estiba.oci.canonical_json import dumps
from estiba.oci.platform import Platform
from estiba.values import NamedTuple

Pairs = tuple[tuple[str, str], ...]
"""Names and values in order, such as an environment."""


class InlineFile(NamedTuple):
    """A file whose content stands in the Dockerfile itself (a here-document)."""

    name: str
    data: str
    mode: int = 0o644

    def describe(self) -> dict[str, object]:
        return {"name": self.name, "data": self.data, "mode": self.mode}


class SourceImage(NamedTuple):
    """An image; the result is its snapshot. `reference` is canonical, with its tag or digest."""

    reference: str
    platform: Platform

    def describe(self) -> dict[str, object]:
        return {"op": "image", "reference": self.reference, "platform": str(self.platform)}


class Scratch(NamedTuple):
    """The empty filesystem."""

    def describe(self) -> dict[str, object]:
        return {"op": "scratch"}


class LocalContext(NamedTuple):
    """A directory of the caller. It has no snapshot: steps read the files that they name."""

    name: str = "context"

    def describe(self) -> dict[str, object]:
        return {"op": "context", "name": self.name}


class SourceUrl(NamedTuple):
    """A file from a server; the result is a snapshot that holds it alone, as `name`, with mode 0600.

    `checksum` is the digest that it must have ("": any).
    """

    url: str
    name: str
    checksum: str = ""

    def describe(self) -> dict[str, object]:
        return {"op": "url", "url": self.url, "name": self.name, "checksum": self.checksum}


class SourceGit(NamedTuple):
    """A commit of a git repository; the result is a snapshot that holds its files.

    `ref` is a branch, a tag or a commit ("": the default branch), `checksum` the commit that it must be ("": any).
    """

    remote: str
    ref: str = ""
    checksum: str = ""
    keeps_git_dir: bool = False
    submodules: bool = True

    def describe(self) -> dict[str, object]:
        return {
            "op": "git",
            "remote": self.remote,
            "ref": self.ref,
            "checksum": self.checksum,
            "keeps_git_dir": self.keeps_git_dir,
            "submodules": self.submodules,
        }


class RunMount(NamedTuple):
    """One ``--mount`` of a RUN. What it does not use of its type keeps the default.

    `source_input` is the index in the vertex's `inputs` of what is mounted (a stage, an image, or the context), -1
    where there is none; `source` is the path in it. `target` is absolute. `mode`, `uid`, `gid` are None if not given.
    A secret or ssh mount has its `identifier`; a secret's `variable` names the environment variable that carries it.
    """

    kind: str
    target: str
    source: str = ""
    source_input: int = -1
    identifier: str = ""
    read_only: bool = False
    sharing: str = "shared"
    required: bool = False
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int = 0
    variable: str = ""

    def describe(self) -> dict[str, object]:
        return self._asdict()


class Run(NamedTuple):
    """Run a command in a container on inputs[0].

    `arguments` is the whole argument vector, the shell included. `env` is the complete environment; `passing_env`
    (proxies and the like) is seen by the command too but changes neither the result's digest nor the cache key.
    `user` is as written ("" is root). `files` lie read-only in /dev/pipes while it runs. `network` is ``default``,
    ``none`` or ``host``; `security` ``sandbox`` or ``insecure``.
    """

    arguments: tuple[str, ...]
    shell_form: bool = True
    env: Pairs = ()
    passing_env: Pairs = ()
    user: str = ""
    working_dir: str = "/"
    mounts: tuple[RunMount, ...] = ()
    files: tuple[InlineFile, ...] = ()
    network: str = "default"
    security: str = "sandbox"

    def describe(self) -> dict[str, object]:
        return {
            "op": "run",
            "arguments": list(self.arguments),
            "env": dict(self.env),
            "user": self.user,
            "working_dir": self.working_dir,
            "mounts": [mount.describe() for mount in self.mounts],
            "files": [file.describe() for file in self.files],
            "network": self.network,
            "security": self.security,
        }


class Copy(NamedTuple):
    """Copy from other inputs (the context, a stage, an image, an address) to inputs[0].

    `origins` has for each of `sources` the index of the input that it is in; () is 1 for all of them.

    `sources` are patterns relative to the source's root, without a leading slash ("." is the whole); `destination` is
    absolute, the working directory applied, and ends in a slash where the text's did. `contents` are files given in
    the text. `owner` and `mode` are as written ("" is 0:0, and the mode of the source). `unpack`: archives among
    the sources are extracted, and with `unpacks_urls` those from servers. `parents` keeps the path after the last
    ``/./`` of a source, else the whole.
    """

    kind: str
    sources: tuple[str, ...]
    destination: str
    contents: tuple[InlineFile, ...] = ()
    owner: str = ""
    mode: str = ""
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()
    unpack: bool = False
    unpacks_urls: bool = False
    origins: tuple[int, ...] = ()

    def describe(self) -> dict[str, object]:
        return {
            "op": "copy",
            "sources": list(self.sources),
            "destination": self.destination,
            "contents": [file.describe() for file in self.contents],
            "owner": self.owner,
            "mode": self.mode,
            "parents": self.parents,
            "exclude": list(self.exclude),
            "unpack": self.unpack,
            "unpacks_urls": self.unpacks_urls,
            "origins": list(self.origins),
        }

    def origin(self, number: int) -> int:
        """The index in the vertex's inputs of what the source `number` is in."""
        return self.origins[number] if self.origins else 1


class MakeDirectory(NamedTuple):
    """Make an absolute directory and its parents in inputs[0] where they are missing, owned by `owner` ("" is root)."""

    path: str
    owner: str = ""

    def describe(self) -> dict[str, object]:
        return {"op": "mkdir", "path": self.path, "owner": self.owner}


Operation = SourceImage | Scratch | LocalContext | SourceUrl | SourceGit | Run | Copy | MakeDirectory


class Vertex(NamedTuple):
    """One step and what it builds on. Two vertices are equal if their digests are.

    `name` is what progress shows, such as ``[build 2/5] RUN make``; `stage` the stage's name, `line` the instruction's
    first line (1 is the first, 0: none), `source` its text.
    """

    operation: Operation
    inputs: tuple[Vertex, ...]
    digest: str
    name: str = ""
    stage: str = ""
    line: int = 0
    source: str = ""

    @classmethod
    def of(
        cls,
        operation: Operation,
        inputs: Sequence[Vertex] = (),
        *,
        name: str = "",
        stage: str = "",
        line: int = 0,
        source: str = "",
    ) -> Vertex:
        """Make a vertex with its digest."""
        inputs = tuple(inputs)
        digest = definition_digest(operation, [each.digest for each in inputs])
        return cls(operation, inputs, digest, name, stage, line, source)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vertex) and self.digest == other.digest

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<Vertex {self.name or self.operation!r} {self.digest[:12]}>"


def definition_digest(operation: Operation, inputs: Iterable[str]) -> str:
    """The hex sha256 that addresses an operation on inputs with these digests."""
    return sha256(dumps([operation.describe(), list(inputs)])).hexdigest()


def walk(*roots: Vertex, visit: Callable[[Vertex], None]) -> None:
    """Call `visit` for every vertex below and at `roots` once, inputs first."""
    seen: set[str] = set()
    pending: list[tuple[Vertex, bool]] = [(root, False) for root in reversed(roots)]
    while pending:
        vertex, inputs_done = pending.pop()
        if inputs_done:
            visit(vertex)
        elif vertex.digest not in seen:
            seen.add(vertex.digest)
            pending.append((vertex, True))
            pending.extend((each, False) for each in reversed(vertex.inputs))
