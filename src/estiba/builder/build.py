"""The front door: from a Dockerfile and its context to an image in the store."""

from __future__ import annotations

import os
from collections.abc import Mapping

from estiba.builder import leftovers
from estiba.builder.cache import StepCache
from estiba.builder.context import ignore
from estiba.builder.context.tree import SourceTree
from estiba.builder.context.trees import Trees
from estiba.builder.executor import BuildExecutor
from estiba.builder.failures import place
from estiba.builder.record import Recorder
from estiba.builder.request import EPOCH, BaseImages, BuildRequest, BuildResult, BuildSurroundings
from estiba.dockerfile.instructions import Arg
from estiba.dockerfile.lower import Lowered, bases_needed, lower
from estiba.dockerfile.parse import parse
from estiba.dockerfile.scope import PROXIES
from estiba.dockerfile.stages import Stages, stages
from estiba.graph.cancellation import Cancellation
from estiba.graph.plan import Plan, plan
from estiba.graph.protocols import Progress
from estiba.graph.scheduler import execute
from estiba.graph.vertex import LocalContext, SourceImage, Vertex
from estiba.image.assemble import commit_image
from estiba.oci.digest import Digest
from estiba.oci.image_config import ImageConfig
from estiba.oci.reference import Reference
from estiba.store.store import Store

_KNOWN_PREFIXES = ("BUILDKIT_", "SOURCE_DATE_EPOCH")


def build(
    request: BuildRequest,
    *,
    store: Store,
    surroundings: BuildSurroundings,
    images: BaseImages,
    progress: Progress,
    cancellation: Cancellation | None = None,
    identifier: str = "",
) -> BuildResult:
    """Build the image that `request` describes and give it its tags. `identifier` is that of its record in the store.

    The five steps: read the Dockerfile, fetch the images that it builds on, lower it to a graph, run the graph, record
    the image. A step that fails leaves those before it in the cache and nothing of itself.

    Raises:
        DockerfileError: the text is wrong, with its place. NotThereYet: it asks for what Estiba has not yet.
        StepFailed: a command failed. InstructionFailed: another step did. Cancelled: the caller gave it up.
        CacheMissed: every step was to come from the cache.
    """
    identifier = identifier or new_identifier()
    build_id = f"build-{identifier}"
    leftovers.clear(surroundings)
    written = stages(parse(request.dockerfile, filename=request.filename))
    written = written._replace(contexts={each.name: each.reference for each in request.contexts})
    with store.leases.hold(f"build {request.filename}"), leftovers.RunningBuild(surroundings.steps, build_id):
        bases = _fetch(written, request, store, images)
        lowered = _lower(written, request, bases)
        steps = plan(lowered.vertex)
        recorder = Recorder(
            identifier,
            request=request,
            store=store,
            written=written,
            lowered=lowered,
            plan=steps,
            images={source: str(Digest.of(config.raw)) for source, config in bases.items()},
            progress=progress,
        )
        with recorder:
            diff_ids = _run(lowered, steps, request, store, surroundings, bases, recorder, cancellation, build_id)
            config = lowered.finish(diff_ids)
            result = _record(config, lowered, request, store, unused=_unused_arguments(written, request))
            recorder.image = str(result.image_id)
            return result


def new_identifier() -> str:
    """What names a build."""
    return os.urandom(6).hex()


def _fetch(
    written: Stages, request: BuildRequest, store: Store, images: BaseImages
) -> Mapping[SourceImage, ImageConfig]:
    """Every image that the target needs; an image's ONBUILD may name more."""
    bases: dict[SourceImage, ImageConfig] = {}
    given = {each.reference: each.image_id for each in request.contexts if each.image_id is not None}
    while missing := bases_needed(
        written, target=request.target, build_args=request.build_args, platform=request.platform, bases=bases
    ):
        for source in missing:
            image_id = given.get(source.reference) or images.find(
                Reference.parse(source.reference), source.platform, pulls=request.pulls
            )
            bases[source] = store.images.config(image_id)
    return bases


def _lower(written: Stages, request: BuildRequest, bases: Mapping[SourceImage, ImageConfig]) -> Lowered:
    return lower(
        written,
        target=request.target,
        build_args=request.build_args,
        platform=request.platform,
        bases=bases,
        labels=dict(request.labels),
        epoch=EPOCH if request.epoch is None else request.epoch,
        shows_epoch=request.epoch is not None,
        hides=lambda path: ignore.parse(request.ignore).ignores(path),
    )


def _run(
    lowered: Lowered,
    steps: Plan,
    request: BuildRequest,
    store: Store,
    surroundings: BuildSurroundings,
    bases: Mapping[SourceImage, ImageConfig],
    recorder: Recorder,
    cancellation: Cancellation | None,
    build_id: str,
) -> tuple[str, ...]:
    """Run the graph; gives the diff IDs of the result, the lowest first."""
    if request.epoch is not None:
        request = request._replace(epoch=lowered.epoch)
    context = SourceTree(request.context, label="the build context", ignore=ignore.parse(request.ignore))
    trees = Trees({LocalContext().name: context}, store.snapshots)
    try:
        for each in request.contexts:
            if each.directory:
                rules = ignore.parse(each.ignore)
                trees.add(each.name, SourceTree(each.directory, label=f"the context {each.name}", ignore=rules))
        executor = BuildExecutor(
            store=store,
            request=request,
            surroundings=surroundings,
            trees=trees,
            bases={source: config.chain_id for source, config in bases.items()},
            stage_label=_label,
            build_id=build_id,
        )
        cache = StepCache(
            store,
            place=request.filename,
            is_used=request.uses_cache,
            steps=steps.steps,
            images=recorder.images,
            tell=recorder.explain,
            requires=(lambda vertex: place(vertex, request)) if request.requires_cache else None,
        )
        results = execute(
            steps,
            executor=recorder.around(executor),
            cache=cache,
            progress=recorder,
            workers=request.workers,
            cancellation=cancellation,
        )
        return results[lowered.vertex.digest].diff_ids
    finally:
        trees.close()


def _label(vertex: Vertex) -> str:
    """What errors call the source of a COPY."""
    if isinstance(vertex.operation, SourceImage):
        return f"image {Reference.parse(vertex.operation.reference).familiar}"
    return f"stage {vertex.stage}" if vertex.stage else "its source"


def _record(
    config: ImageConfig, lowered: Lowered, request: BuildRequest, store: Store, *, unused: list[str]
) -> BuildResult:
    record = commit_image(store, config)
    for tag in request.tags:
        store.references.set(tag, record.id)
    warnings = [f"{request.filename}:{each.line}: {each.rule}: {each.message}" for each in lowered.warnings]
    warnings += [f"{request.filename}: the build argument {name} is used by no ARG" for name in unused]
    return BuildResult(record.id, config, tuple(warnings))


def _unused_arguments(written: Stages, request: BuildRequest) -> list[str]:
    """The build arguments that no ARG names and that mean nothing by themselves."""
    named = {name for each in written.arguments for name, _ in each.arguments}
    for stage in written.all:
        for instruction in stage.instructions:
            if isinstance(instruction, Arg):
                named.update(name for name, _ in instruction.arguments)
    return [
        name
        for name in request.build_args
        if name not in named and name.upper() not in PROXIES and not name.startswith(_KNOWN_PREFIXES)
    ]
