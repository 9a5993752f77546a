"""Where a stage begins and where it copies from: another stage, an image, or nothing. And so, what a target needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from estiba.dockerfile.checks import check_bases
from estiba.dockerfile.errors import DockerfileError, near
from estiba.dockerfile.expand import ExpansionError, expand
from estiba.dockerfile.instructions import Copy, Instruction, Onbuild, Run
from estiba.dockerfile.lexer import Statement
from estiba.dockerfile.parse import parse
from estiba.dockerfile.scope import Scope, global_scope
from estiba.dockerfile.stages import Stage, Stages
from estiba.dockerfile.warnings import Warning
from estiba.errors import InvalidInput
from estiba.graph.vertex import LocalContext, Scratch, SourceImage
from estiba.oci.image_config import ImageConfig
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference

SCRATCH = "scratch"

Origin = Stage | SourceImage | Scratch | LocalContext
"""What a filesystem comes from."""


class Resolution(NamedTuple):
    """What building `target` needs: the stages in order, with where each begins and what it runs; the images."""

    stages: Stages
    scope: Scope
    target: Stage
    needed: tuple[NeededStage, ...]
    images: tuple[SourceImage, ...]
    warnings: tuple[Warning, ...]


class NeededStage(NamedTuple):
    """A stage with its origin. `triggers` are the ONBUILD instructions of its base, which run first."""

    stage: Stage
    origin: Origin
    platform: Platform
    triggers: tuple[Instruction, ...]

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        return self.triggers + self.stage.instructions


def resolve(
    stages: Stages,
    *,
    target: str,
    build_args: Mapping[str, str],
    platform: Platform,
    build_platform: Platform,
    bases: Mapping[SourceImage, ImageConfig],
) -> Resolution:
    """Find what `target` ("" is the last stage) needs. Triggers of images that `bases` lacks are not known yet.

    Raises:
        DockerfileError: an unknown target, a name that is no stage and no reference, a stage that comes later.
    """
    chosen = _target(stages, target)
    scope = global_scope(
        stages.arguments,
        escape=stages.escape,
        build_args=build_args,
        platform=platform,
        build_platform=build_platform,
        target=target,
    )
    needed: dict[int, NeededStage] = {}
    images: dict[SourceImage, None] = {}
    pending = [chosen]
    while pending:
        stage = pending.pop()
        if stage.number in needed:
            continue
        entry = _needed(stages, stage, scope, bases)
        needed[stage.number] = entry
        origins = [entry.origin, *_copied_from(stages, stage, entry.instructions, scope)]
        pending.extend(origin for origin in origins if isinstance(origin, Stage))
        images.update({origin: None for origin in origins if isinstance(origin, SourceImage)})
    in_order = tuple(needed[number] for number in sorted(needed))
    return Resolution(stages, scope, chosen, in_order, tuple(images), _warnings(stages, scope, target))


def _warnings(stages: Stages, scope: Scope, target: str) -> tuple[Warning, ...]:
    """What is probably not meant in any FROM, also of a stage that is not needed."""
    begins = [stage.begin for stage in stages.all if "$" in stage.begin.image + stage.begin.platform]
    if not begins:
        return ()
    try:
        defaults = global_scope(
            stages.arguments,
            escape=stages.escape,
            build_args={},
            platform=scope.platform,
            build_platform=scope.build_platform,
            target=target,
        )
        return tuple(check_bases(begins, scope.variables, defaults.variables, escape=stages.escape))
    except (DockerfileError, ExpansionError):
        return ()  # an error in a stage that is not needed, or in a default that is not used


def _target(stages: Stages, name: str) -> Stage:
    if not name:
        return stages.all[-1]
    found = stages.named(name)
    if found is None:
        names = [stage.name for stage in stages.all if stage.name]
        known = (
            f"The stages are {', '.join(names)}." if names else "No stage has a name; give it one with FROM … AS NAME."
        )
        raise InvalidInput(f"no stage {name!r} in {stages.source.filename}", remedy=near(name, names) or known)
    return found


def _needed(stages: Stages, stage: Stage, scope: Scope, bases: Mapping[SourceImage, ImageConfig]) -> NeededStage:
    origin, platform = _origin(stages, stage, scope)
    triggers: list[Instruction] = []
    if isinstance(origin, Stage):
        triggers = [each.trigger for each in origin.instructions if isinstance(each, Onbuild)]
    elif isinstance(origin, SourceImage) and origin in bases:
        for expression in bases[origin].run.on_build:
            name = f"ONBUILD of {Reference.parse(origin.reference).familiar}"
            triggers.extend(parse(expression, filename=name).instructions)
    return NeededStage(stage, origin, platform, tuple(triggers))


def _origin(stages: Stages, stage: Stage, scope: Scope) -> tuple[Origin, Platform]:
    """Where a stage begins: an earlier stage, nothing, or an image."""
    begin = stage.begin
    platform = scope.platform
    if begin.platform:
        text = _expanded(begin.at, begin.platform, scope, stages.escape)
        try:
            platform = Platform.parse(text)
        except InvalidInput as error:
            raise begin.at.error(error.message, word=begin.platform, remedy=error.remedy) from None
    name = _expanded(begin.at, begin.image, scope, stages.escape)
    if not name:
        raise begin.at.error(
            f"the name of the base image is empty: {begin.image}",
            word=begin.image,
            remedy="Give the ARG before FROM a default, or pass --build-arg.",
        )
    if name == SCRATCH:
        return Scratch(), platform
    given = _given(stages, name, begin.at, platform)
    if given is not None:
        return given, platform
    earlier = stages._replace(all=stages.all[: stage.number]).named(name) if not name.isdigit() else None
    if earlier is not None:
        return earlier, platform
    return _image(begin.at, name, begin.image, platform), platform


def _expanded(at: Statement, text: str, scope: Scope, escape: str) -> str:
    try:
        return expand(text, scope.variables, escape=escape).text
    except ExpansionError as error:
        raise at.error(str(error), word=text) from None


def _copied_from(stages: Stages, stage: Stage, instructions: tuple[Instruction, ...], scope: Scope) -> list[Origin]:
    return [
        copy_origin(stages, stage, name, at=instruction.at, platform=scope.platform)
        for instruction in instructions
        for name in _source_names(instruction)
    ]


def _source_names(instruction: Instruction) -> list[str]:
    if isinstance(instruction, Copy) and instruction.source_name:
        return [instruction.source_name]
    if isinstance(instruction, Run):
        return [name for mount in instruction.mounts if (name := mount.get("from"))]
    return []


def copy_origin(stages: Stages, stage: Stage, name: str, *, at: Statement, platform: Platform) -> Origin:
    """What ``--from=name`` in `stage` means: a stage by name or number, else an image.

    Raises:
        DockerfileError: a variable in the name, the stage itself or a later one, no such number, a bad reference.
    """
    if "$" in name:
        raise at.error(
            "--from takes no variable",
            word=name,
            remedy="Give the image a stage of its own: FROM $IMAGE AS name, then --from=name.",
        )
    if name == SCRATCH:
        return Scratch()
    given = _given(stages, name, at, platform)
    if given is not None:
        return given
    earlier = stages._replace(all=stages.all[: stage.number]).named(name)
    if earlier is not None:
        return earlier
    found = stages.named(name)
    if found is not None:
        which = "the stage itself" if found.number == stage.number else "a later stage"
        raise at.error(
            f"--from={name} names {which}", word=name, remedy="A stage copies from stages that stand before it."
        )
    if name.isdigit():
        raise at.error(f"there is no stage {name}", word=name, remedy=f"This one is stage {stage.number}.")
    return _image(at, name, name, platform)


def context_name(text: str) -> str:
    """The name of a context that is given besides the file, as it is compared: an image's name without defaults."""
    try:
        return Reference.parse(text).familiar.removesuffix(":latest")
    except InvalidInput:
        return text.lower()


def _given(stages: Stages, name: str, at: Statement, platform: Platform) -> SourceImage | LocalContext | None:
    """The context of that name."""
    if not stages.contexts:
        return None
    key = context_name(name)
    reference = stages.contexts.get(key)
    if reference is None:
        return None
    return _image(at, reference, name, platform) if reference else LocalContext(key)


def _image(at: Statement, name: str, written: str, platform: Platform) -> SourceImage:
    try:
        return SourceImage(str(Reference.parse(name).tagged), platform)
    except InvalidInput as error:
        raise at.error(error.message, word=written, remedy=error.remedy) from None
