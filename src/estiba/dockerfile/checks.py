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
    instructions = list(instructions)
    names: set[str] = set()
    once: dict[type, int] = {}
    yield from _check_casing(instructions)
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


def _check_casing(instructions: list[Instruction]) -> Iterator[Warning]:
    """Keywords are all in upper or all in lower case; the majority decides."""
    keywords = [instruction.at.keyword for instruction in instructions]
    upper = sum(keyword.isupper() for keyword in keywords)
    lower = sum(keyword.islower() for keyword in keywords)
    case, is_right = ("lower", str.islower) if lower > upper else ("upper", str.isupper)
    for instruction in instructions:
        keyword = instruction.at.keyword
        if not is_right(keyword):
            message = f"the instruction {keyword} should be in {case} case, as the others are"
            yield Warning("ConsistentInstructionCasing", message, instruction.at.line)


def _check_platform(instruction: From) -> Iterator[Warning]:
    platform, line = instruction.platform, instruction.at.line
    if platform in ("$TARGETPLATFORM", "${TARGETPLATFORM}"):
        yield Warning("RedundantTargetPlatform", f"--platform={platform} is what FROM does anyway", line)
    elif platform and "$" not in platform:
        architecture = platform.split("/")[1] if "/" in platform else platform
        if architecture not in instruction.name:
            message = f"--platform={platform} allows no other platform; write --platform=$BUILDPLATFORM or leave it out"
            yield Warning("FromPlatformFlagConstDisallowed", message, line)


def _check_from(instruction: From, names: set[str]) -> Iterator[Warning]:
    at, name = instruction.at, instruction.name
    yield from _check_platform(instruction)
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
