"""From stages to steps: the graph of a target, and the configuration of the image that it will be.

Pure: what the images say is given, and running the graph is another's work. A build asks `bases_needed`, fetches what
it names, asks again until nothing is missing (an image's ONBUILD may name more), and then lowers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from estiba.dockerfile.checks import check_copies
from estiba.dockerfile.errors import DockerfileError, Place
from estiba.dockerfile.instructions import Copy, From, Instruction, Run, Workdir
from estiba.dockerfile.lower_config import lower_config
from estiba.dockerfile.lower_copy import lower_copy, lower_workdir
from estiba.dockerfile.lower_run import lower_run
from estiba.dockerfile.sources import NeededStage, Origin, Resolution, copy_origin, resolve
from estiba.dockerfile.stages import Stage, Stages
from estiba.dockerfile.state import StageState
from estiba.dockerfile.warnings import OPTIONS_ARGUMENT, CheckOptions, Warning
from estiba.errors import InvalidInput
from estiba.graph.plan import plan
from estiba.graph.vertex import Copy as CopyFiles
from estiba.graph.vertex import LocalContext, Scratch, SourceImage, Vertex
from estiba.oci.digest import Digest
from estiba.oci.image_config import History, ImageConfig, RunConfig
from estiba.oci.platform import Platform

EPOCH_1980 = 315_532_800
"""The time that everything has where nothing else is asked for: 1980-01-01, in seconds since 1970."""

_EPOCH_VARIABLE = "SOURCE_DATE_EPOCH"
_LATEST = 253_402_300_799


class Lowered(NamedTuple):
    """The step whose result is the target's filesystem, and what the image will say.

    `base_layers` of the result's layers come from the base image; `layers` are new, one for each line of history that
    is not empty, in order. `epoch` is the time of everything, in seconds since 1970. `stages` are the numbers of those
    that are needed.
    """

    vertex: Vertex
    platform: Platform
    run: RunConfig
    history: tuple[History, ...]
    author: str
    created: str
    epoch: int
    base_layers: int
    layers: int
    warnings: tuple[Warning, ...]
    stages: frozenset[int] = frozenset()

    def finish(self, diff_ids: Sequence[Digest | str]) -> ImageConfig:
        """The image's configuration, once its filesystem exists; `diff_ids` are all its layers, lowest first.

        Raises:
            ValueError: another number of layers than the history tells.
        """
        if len(diff_ids) != self.base_layers + self.layers:
            raise ValueError(f"expected {self.base_layers} + {self.layers} layers, got {len(diff_ids)}")
        return ImageConfig.make(
            platform=self.platform,
            run=self.run,
            diff_ids=tuple(Digest.parse(each) if isinstance(each, str) else each for each in diff_ids),
            history=self.history,
            created=self.created,
            author=self.author,
        )


def bases_needed(
    stages: Stages,
    *,
    target: str = "",
    build_args: Mapping[str, str],
    platform: Platform,
    build_platform: Platform | None = None,
    bases: Mapping[SourceImage, ImageConfig],
) -> tuple[SourceImage, ...]:
    """The images that `target` needs and `bases` lacks: bases of stages, and sources of COPY and of mounts.

    Raises:
        DockerfileError: what `lower` would say about a name.
    """
    resolution = resolve(
        stages,
        target=target,
        build_args=build_args,
        platform=platform,
        build_platform=build_platform or platform,
        bases=bases,
    )
    return tuple(image for image in resolution.images if image not in bases)


def lower(
    stages: Stages,
    *,
    target: str = "",
    build_args: Mapping[str, str],
    platform: Platform,
    build_platform: Platform | None = None,
    bases: Mapping[SourceImage, ImageConfig],
    labels: Mapping[str, str] | None = None,
    epoch: int = EPOCH_1980,
    shows_epoch: bool = True,
    hides: Callable[[str], bool] | None = None,
    unknown: Collection[SourceImage] = (),
    warnings_fail: bool = True,
) -> Lowered:
    """Lower what `target` needs ("" is the last stage). `bases` holds the configuration of every image it needs.

    `build_platform` is the machine's own, else `platform`. `labels` are added to the image. `shows_epoch`: RUN sees the
    epoch as SOURCE_DATE_EPOCH. A build argument of that name wins over `epoch`. `hides` tells which paths are kept out
    of the build context. The bases in `unknown` have no true configuration, so they may set any variable. A file may
    ask that a warning be an error; not `warnings_fail` leaves it a warning.

    Raises:
        DockerfileError: the first thing that makes no sense. NotYetInDockerfile: what Estiba cannot build yet.
        InvalidInput: an unknown target, or a SOURCE_DATE_EPOCH that is no time.
    """
    resolution = resolve(
        stages,
        target=target,
        build_args=build_args,
        platform=platform,
        build_platform=build_platform or platform,
        bases=bases,
    )
    if _EPOCH_VARIABLE in build_args:
        epoch, shows_epoch = _parse_epoch(build_args[_EPOCH_VARIABLE]), True
    created = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    lowering = _Lowering(resolution, bases, unknown, created, str(epoch) if shows_epoch else None)
    state = lowering.target()
    options = CheckOptions.parse(build_args.get(OPTIONS_ARGUMENT, stages.check))
    copies = check_copies(plan(state.vertex), hides) if hides and options.experimental else ()
    warnings = options.kept((*stages.warnings, *resolution.warnings, *lowering.warnings, *copies))
    if warnings and options.are_errors and warnings_fail:
        raise _as_error(warnings[0], stages)
    run = state.run._replace(labels=tuple({**dict(state.run.labels), **(labels or {})}.items()))
    return Lowered(
        state.vertex,
        state.platform,
        run,
        tuple(state.history),
        state.author,
        created,
        epoch,
        state.base_layers,
        state.layers,
        warnings,
        frozenset(needed.stage.number for needed in resolution.needed),
    )


def _as_error(warning: Warning, stages: Stages) -> DockerfileError:
    return DockerfileError(
        f"{warning.rule}: {warning.message}",
        place=Place(stages.source, warning.line),
        remedy="The file asks for this with # check=error=true.",
    )


def _parse_epoch(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 13 and int(text) <= _LATEST):
        raise InvalidInput(
            f"the build argument {_EPOCH_VARIABLE} is {text!r}",
            remedy="It is a number of seconds since 1970-01-01, such as 315532800.",
        )
    return int(text)


class _Lowering:
    """Lowers the needed stages in order, so that each finds done what it builds on."""

    def __init__(
        self,
        resolution: Resolution,
        bases: Mapping[SourceImage, ImageConfig],
        unknown: Collection[SourceImage],
        created: str,
        epoch: str | None,
    ) -> None:
        self._resolution = resolution
        self._bases = bases
        self._unknown = unknown
        self._created = created
        self._epoch = epoch
        self._done: dict[int, StageState] = {}
        self._context = Vertex.of(LocalContext(), name="[internal] load build context")

    def target(self) -> StageState:
        for needed in self._resolution.needed:
            self._done[needed.stage.number] = self._stage(needed)
        return self._done[self._resolution.target.number]

    @property
    def warnings(self) -> list[Warning]:
        return [warning for state in self._done.values() for warning in state.warnings]

    def _stage(self, needed: NeededStage) -> StageState:
        stages, stage = self._resolution.stages, needed.stage
        steps = sum(isinstance(each, Run | Copy | Workdir) for each in needed.instructions)
        state = StageState(
            stage=stage,
            scope=self._resolution.scope,
            escape=stages.escape,
            created=self._created,
            prefix=f"{stage.title} " if len(stages.all) > 1 else "",
            steps=steps + isinstance(needed.origin, SourceImage | LocalContext),
        )
        self._begin(state, needed)
        for instruction in needed.instructions:
            self._lower(state, stage, instruction)
        return state

    def _begin(self, state: StageState, needed: NeededStage) -> None:
        origin = needed.origin
        if isinstance(origin, Stage):
            state.begin_with_stage(self._done[origin.number])
        elif isinstance(origin, Scratch):
            state.begin_empty(Vertex.of(origin, name="scratch"), needed.platform)
        elif isinstance(origin, LocalContext):
            state.begin_empty(Vertex.of(Scratch(), name="scratch"), needed.platform)
            text, at = f"FROM {needed.stage.begin.image}", needed.stage.begin.at
            state.step(CopyFiles("COPY", (".",), "/"), (self._vertex(origin),), at=at, text=text, history=text)
        else:
            at = needed.stage.begin.at
            name = state.step_name(f"FROM {origin.reference}")
            vertex = Vertex.of(origin, name=name, stage=needed.stage.title, line=at.line, source=at.text)
            config = self._bases[origin]
            state.begin_with_image(vertex, config, is_known=origin not in self._unknown)
            if not needed.platform.can_run(config.platform):
                message = f"{origin.reference} is for {config.platform}, not for {needed.platform}"
                state.warn("InvalidBaseImagePlatform", message, at)

    def _lower(self, state: StageState, stage: Stage, instruction: Instruction) -> None:
        def source(name: str) -> Vertex:
            if not name:
                return self._context
            at = instruction.at
            platform = self._resolution.scope.platform
            return self._vertex(copy_origin(self._resolution.stages, stage, name, at=at, platform=platform))

        match instruction:
            case Run():
                lower_run(state, instruction, source=source, epoch=self._epoch)
            case Copy():
                lower_copy(state, instruction, source=source)
            case Workdir():
                lower_workdir(state, instruction)
            case From():
                raise instruction.at.error("FROM cannot be a trigger of ONBUILD")
            case _:
                lower_config(state, instruction)

    def _vertex(self, origin: Origin) -> Vertex:
        if isinstance(origin, Stage):
            return self._done[origin.number].vertex
        name = f"FROM {origin.reference}" if isinstance(origin, SourceImage) else "scratch"
        if isinstance(origin, LocalContext):
            name = f"[internal] load context {origin.name}"
        return Vertex.of(origin, name=name)
