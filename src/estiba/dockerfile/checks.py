"""Checks that need no values: what the text alone shows (the names are those of Docker's build checks)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from estiba.dockerfile.errors import near
from estiba.dockerfile.expand import ExpansionError, expand
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
from estiba.dockerfile.lexer import Statement
from estiba.dockerfile.warnings import Warning
from estiba.graph.plan import Plan
from estiba.graph.vertex import Copy, LocalContext
from estiba.oci.reference import InvalidReference, Reference

_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE
)
_NOT_SECRET = re.compile(r"(?:_|^)public(?:_|$)", re.IGNORECASE)
_RESERVED = frozenset({"scratch", "context"})
_WILDCARDS = frozenset("*?[")


def check_stages(instructions: Iterable[Instruction]) -> Iterator[Warning]:
    """Warn about an instruction by itself, and about one that another makes useless."""
    instructions = list(instructions)
    names: set[str] = set()
    once: dict[type, Statement] = {}
    yield from _check_casing(instructions)
    for instruction in instructions:
        at = instruction.at
        if isinstance(instruction, From):
            once.clear()
            yield from _check_from(instruction, names)
            names.add(instruction.name)
        elif isinstance(instruction, Cmd | Entrypoint | Health):
            if type(instruction) in once:
                message = f"only the last {at.keyword.upper()} of a stage counts"
                yield once[type(instruction)].warning("MultipleInstructionsDisallowed", message)
            once[type(instruction)] = at
        elif isinstance(instruction, Maintainer):
            message = "MAINTAINER is deprecated; use LABEL org.opencontainers.image.authors=NAME"
            yield at.warning("MaintainerDeprecated", message)
        elif isinstance(instruction, Arg):
            argument_names = [name for name, _ in instruction.arguments]
            yield from _check_secrets(at, argument_names)
            yield from _check_comment(at, "ARG", argument_names)
        elif isinstance(instruction, Env | Label):
            if instruction.legacy:
                message = f"write {at.keyword.upper()} NAME=value with an equals sign"
                yield at.warning("LegacyKeyValueFormat", message)
            if isinstance(instruction, Env):
                yield from _check_secrets(at, [name for name, _ in instruction.pairs])


def looks_secret(name: str) -> bool:
    """Whether a variable of this name probably holds a secret."""
    return bool(_SECRET.search(name)) and not _NOT_SECRET.search(name)


def check_bases(
    begins: Iterable[From], variables: Mapping[str, str], defaults: Mapping[str, str], *, escape: str
) -> Iterator[Warning]:
    """Warn about names of base images that use what is not set, or are none with the `defaults` of the arguments alone.

    Raises:
        ExpansionError: a name cannot be expanded.
    """
    for begin in begins:
        if "$" not in begin.image + begin.platform:
            continue
        for name in sorted(expand(f"{begin.image} {begin.platform}", variables, escape=escape).unknown):
            message = f"the variable {name} is not set. {near(name, variables)}".rstrip()
            yield begin.at.warning("UndefinedArgInFrom", message)
        if not _names_an_image(begin.image, defaults, escape):
            message = f"without a build argument {begin.image} names no image; give its ARG a default"
            yield begin.at.warning("InvalidDefaultArgInFrom", message)


def _names_an_image(text: str, variables: Mapping[str, str], escape: str) -> bool:
    try:
        Reference.parse(expand(text, variables, escape=escape).text)
    except (InvalidReference, ExpansionError):
        return False
    return True


def check_copies(plan: Plan, hides: Callable[[str], bool]) -> Iterator[Warning]:
    """Warn about every COPY and ADD whose source `hides` keeps out of the build context."""
    for vertex in plan.steps:
        operation = vertex.operation
        if not isinstance(operation, Copy) or len(vertex.inputs) < 2:
            continue
        for number, source in enumerate(operation.sources):
            origin = vertex.inputs[operation.origin(number)].operation
            if not isinstance(origin, LocalContext) or origin.name != LocalContext().name:
                continue
            if source != "." and _WILDCARDS.isdisjoint(source) and hides(source):
                message = f"{operation.kind} names {source}, which .dockerignore hides"
                yield Warning("CopyIgnoredFile", message, vertex.line)


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
            yield instruction.at.warning("ConsistentInstructionCasing", message)


def _check_platform(instruction: From) -> Iterator[Warning]:
    platform, at = instruction.platform, instruction.at
    if platform in ("$TARGETPLATFORM", "${TARGETPLATFORM}"):
        yield at.warning("RedundantTargetPlatform", f"--platform={platform} is what FROM does anyway")
    elif platform and "$" not in platform:
        # A stage that is called after its platform means it.
        system, _, rest = platform.partition("/")
        architecture = rest.partition("/")[0] or system
        if architecture not in instruction.name and not (rest and system in instruction.name):
            message = f"--platform={platform} allows no other platform; write --platform=$BUILDPLATFORM or leave it out"
            yield at.warning("FromPlatformFlagConstDisallowed", message)


def _check_from(instruction: From, names: set[str]) -> Iterator[Warning]:
    at, name = instruction.at, instruction.name
    yield from _check_platform(instruction)
    if not name:
        return
    words = at.text.split()
    if words[-1] != name:
        yield at.warning("StageNameCasing", f"the stage name {words[-1]} should be in lower case")
    if not _is_one_case(at.keyword, words[-2]):
        yield at.warning("FromAsCasing", f"{words[-2]} and {at.keyword} differ in case")
    if name in names:
        yield at.warning("DuplicateStageName", f"the stage name {name} is used twice")
    if name in _RESERVED:
        yield at.warning("ReservedStageName", f"the stage name {name} is reserved")
    yield from _check_comment(at, "FROM", [name])


def _is_one_case(keyword: str, word: str) -> bool:
    """Whether `word` is in the case of `keyword`; a keyword of mixed case is what another check tells."""
    if keyword.isupper():
        return word.isupper()
    return word.islower() or not keyword.islower()


def _check_comment(at: Statement, keyword: str, names: list[str]) -> Iterator[Warning]:
    if at.comment and at.comment.split(" ", 1)[0] not in names:
        name = names[0] if len(names) == 1 else "NAME"
        message = f"a comment right above {keyword} describes it: begin it with {name}, or leave a line empty between"
        yield at.warning("InvalidDefinitionDescription", message)


def _check_secrets(at: Statement, names: Iterable[str]) -> Iterator[Warning]:
    for name in names:
        if looks_secret(name):
            message = (
                f"{at.keyword.upper()} {name} looks like a secret; whoever has the image reads it."
                " Use RUN --mount=type=secret"
            )
            yield at.warning("SecretsUsedInArgOrEnv", message)
