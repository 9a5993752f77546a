"""From instructions to stages: each FROM begins one (Dockerfile reference, "FROM" and multi-stage builds)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from estiba.dockerfile.checks import check_stages
from estiba.dockerfile.errors import Source
from estiba.dockerfile.instructions import Arg, From, Instruction
from estiba.dockerfile.parse import Document
from estiba.dockerfile.warnings import Warning


class Stage(NamedTuple):
    """A FROM and what follows it. `name` is in lower case, "" where none is given."""

    number: int
    name: str
    begin: From
    instructions: tuple[Instruction, ...]

    @property
    def title(self) -> str:
        """How messages call it."""
        return self.name or f"stage-{self.number}"


class Stages(NamedTuple):
    """The stages in order, the ARGs that stand before the first, and the escape character of the file.

    `check` is what the file's directive of that name says. `contexts` are what a build gives besides the file, by
    name: a reference, or "" for a directory. A name there is meant before a stage or an image of that name.
    """

    source: Source
    all: tuple[Stage, ...]
    arguments: tuple[Arg, ...]
    escape: str
    check: str = ""
    warnings: tuple[Warning, ...] = ()
    contexts: Mapping[str, str] = {}

    def named(self, name: str) -> Stage | None:
        """The last stage of this name, or of this number."""
        if name.isascii() and name.isdigit() and len(name) < 10:
            index = int(name)
            return self.all[index] if index < len(self.all) else None
        return next((stage for stage in reversed(self.all) if stage.name == name.lower()), None)

    @property
    def titles(self) -> list[str]:
        return [stage.title for stage in self.all]


def stages(document: Document) -> Stages:
    """Group the instructions of a document.

    Raises:
        DockerfileError: something other than ARG before the first FROM, or no FROM at all.
    """
    arguments: list[Arg] = []
    begins: list[From] = []
    bodies: list[list[Instruction]] = []
    for instruction in document.instructions:
        if isinstance(instruction, From):
            begins.append(instruction)
            bodies.append([])
        elif begins:
            bodies[-1].append(instruction)
        elif isinstance(instruction, Arg):
            arguments.append(instruction)
        else:
            at = instruction.at
            raise at.error(
                f"{at.keyword.upper()} stands before the first FROM",
                remedy="Begin with FROM IMAGE; only ARG may stand before it.",
            )
    if not begins:
        raise document.instructions[-1].at.error("no FROM in this file", remedy="Begin with FROM IMAGE.")
    grouped = tuple(
        Stage(index, begin.name, begin, tuple(body))
        for index, (begin, body) in enumerate(zip(begins, bodies, strict=True))
    )
    warnings = (*document.warnings, *check_stages(document.instructions))
    directives = document.directives
    return Stages(document.source, grouped, tuple(arguments), directives.escape, directives.check, warnings)
