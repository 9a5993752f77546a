"""Checks that need no values: what the text alone shows (the names are those of Docker's build checks)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from estiba.dockerfile.instructions import (
    Arg,
    Cmd,
    Entrypoint,
    Env,
    From,
    Health,
    Instruction,
    Label,
    Maintainer,
)
from estiba.dockerfile.warnings import Warning

_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE
)
_NOT_SECRET = re.compile(r"(?:_|^)public(?:_|$)", re.IGNORECASE)
_RESERVED = frozenset({"scratch", "context"})


def check_stages(instructions: Iterable[Instruction]) -> Iterator[Warning]:
    """Warn about an instruction by itself, and about one that another makes useless."""
    names: set[str] = set()
    once: dict[type, int] = {}
    for instruction in instructions:
        line = instruction.at.line
        if isinstance(instruction, From):
            once.clear()
            yield from _check_from(instruction, names)
            names.add(instruction.name)
        elif isinstance(instruction, Cmd | Entrypoint | Health):
            word = instruction.at.keyword.upper()
            if type(instruction) in once:
                earlier = once[type(instruction)]
                yield Warning("MultipleInstructionsDisallowed", f"only the last {word} of a stage counts", earlier)
            once[type(instruction)] = line
        elif isinstance(instruction, Maintainer):
            message = "MAINTAINER is deprecated; use LABEL org.opencontainers.image.authors=NAME"
            yield Warning("MaintainerDeprecated", message, line)
        elif isinstance(instruction, Arg):
            yield from _check_secrets("ARG", [name for name, _ in instruction.arguments], line)
        elif isinstance(instruction, Env | Label):
            if instruction.legacy:
                word = instruction.at.keyword.upper()
                yield Warning("LegacyKeyValueFormat", f"write {word} NAME=value with an equals sign", line)
            if isinstance(instruction, Env):
                yield from _check_secrets("ENV", [name for name, _ in instruction.pairs], line)


def _check_from(instruction: From, names: set[str]) -> Iterator[Warning]:
    at, name = instruction.at, instruction.name
    if not name:
        return
    words = at.text.split()
    if words[-1] != name:
        yield Warning("StageNameCasing", f"the stage name {words[-1]} should be in lower case", at.line)
    if words[-2].isupper() != at.keyword.isupper():
        yield Warning("FromAsCasing", f"{words[-2]} and {at.keyword} differ in case", at.line)
    if name in names:
        yield Warning("DuplicateStageName", f"the stage name {name} is used twice", at.line)
    if name in _RESERVED:
        yield Warning("ReservedStageName", f"the stage name {name} is reserved", at.line)


def _check_secrets(keyword: str, names: Iterable[str], line: int) -> Iterator[Warning]:
    for name in names:
        if _SECRET.search(name) and not _NOT_SECRET.search(name):
            message = (
                f"{keyword} {name} looks like a secret; whoever has the image reads it. Use RUN --mount=type=secret"
            )
            yield Warning("SecretsUsedInArgOrEnv", message, line)
