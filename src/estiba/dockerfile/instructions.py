"""The instructions of a Dockerfile as values: parsed, not expanded yet (Dockerfile reference, a section for each).

`at` is the statement from which an instruction comes; errors point into it.
"""

from __future__ import annotations

from estiba.dockerfile.heredocs import Heredoc
from estiba.dockerfile.lexer import Statement
from estiba.oci.image_config import HealthCheck
from estiba.values import NamedTuple

Pairs = tuple[tuple[str, str], ...]


class Command(NamedTuple):
    """What runs. In shell form `words` is one string for the shell, else the argument vector."""

    words: tuple[str, ...]
    shell_form: bool


class MountFlag(NamedTuple):
    """A ``--mount``: its fields in order; a field without ``=`` has the value None."""

    fields: tuple[tuple[str, str | None], ...]
    text: str

    def get(self, *names: str) -> str | None:
        """The last value under one of these names."""
        found = None
        for name, value in self.fields:
            if name in names:
                found = value
        return found


class From(NamedTuple):
    at: Statement
    image: str
    name: str = ""
    platform: str = ""


class Arg(NamedTuple):
    """Names with their default, None where there is none."""

    at: Statement
    arguments: tuple[tuple[str, str | None], ...]


class Env(NamedTuple):
    """`legacy`: written as ``ENV NAME the rest``."""

    at: Statement
    pairs: Pairs
    legacy: bool = False


class Label(NamedTuple):
    at: Statement
    pairs: Pairs
    legacy: bool = False


class Run(NamedTuple):
    at: Statement
    command: Command
    mounts: tuple[MountFlag, ...] = ()
    network: str = "default"
    security: str = "sandbox"
    devices: tuple[str, ...] = ()


class Copy(NamedTuple):
    """COPY and ADD; `kind` tells which. `unpack` is None where the instruction does not say."""

    at: Statement
    kind: str
    sources: tuple[str, ...]
    destination: str
    contents: tuple[Heredoc, ...] = ()
    source_name: str = ""
    owner: str = ""
    mode: str = ""
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()
    unpack: bool | None = None
    checksum: str = ""
    keep_git_dir: bool = False


class Cmd(NamedTuple):
    at: Statement
    command: Command


class Entrypoint(NamedTuple):
    at: Statement
    command: Command


class Expose(NamedTuple):
    at: Statement
    ports: tuple[str, ...]


class Volume(NamedTuple):
    at: Statement
    paths: tuple[str, ...]


class User(NamedTuple):
    at: Statement
    name: str


class Workdir(NamedTuple):
    at: Statement
    path: str


class Shell(NamedTuple):
    at: Statement
    words: tuple[str, ...]


class StopSignal(NamedTuple):
    at: Statement
    signal: str


class Health(NamedTuple):
    """HEALTHCHECK; the test of ``HEALTHCHECK NONE`` is ("NONE",)."""

    at: Statement
    check: HealthCheck


class Maintainer(NamedTuple):
    at: Statement
    name: str


class Onbuild(NamedTuple):
    """`expression` is the instruction as it will stand in the image; `trigger` the same, parsed."""

    at: Statement
    expression: str
    trigger: Instruction


Instruction = (
    From
    | Arg
    | Env
    | Label
    | Run
    | Copy
    | Cmd
    | Entrypoint
    | Expose
    | Volume
    | User
    | Workdir
    | Shell
    | StopSignal
    | Health
    | Maintainer
    | Onbuild
)
