"""Checking a Dockerfile without building it: nothing is fetched, run or written."""

from __future__ import annotations

from typing import NamedTuple

from estiba.builder.context import ignore
from estiba.builder.request import BuildRequest
from estiba.dockerfile.errors import Source
from estiba.dockerfile.lower import bases_needed, lower
from estiba.dockerfile.parse import parse
from estiba.dockerfile.stages import stages
from estiba.dockerfile.warnings import Warning
from estiba.graph.vertex import SourceImage
from estiba.oci.image_config import ImageConfig
from estiba.oci.reference import Reference
from estiba.store.store import Store


class Findings(NamedTuple):
    """What a check found in `source`. `unknown` names base images that are not here: what they set is not known."""

    source: Source
    warnings: tuple[Warning, ...]
    unknown: tuple[str, ...]


def check(request: BuildRequest, store: Store) -> Findings:
    """Check what `request` would build.

    Raises:
        DockerfileError: the text is wrong, with its place. NotThereYet: it asks for what Estiba has not yet.
    """
    written = stages(parse(request.dockerfile, filename=request.filename))
    written = written._replace(contexts={each.name: each.reference for each in request.contexts})
    bases: dict[SourceImage, ImageConfig] = {}
    unknown: list[SourceImage] = []
    while missing := bases_needed(
        written, target=request.target, build_args=request.build_args, platform=request.platform, bases=bases
    ):
        for source in missing:
            found = _config(source, store)
            bases[source] = found or ImageConfig.make(platform=source.platform)
            if found is None:
                unknown.append(source)
    lowered = lower(
        written,
        target=request.target,
        build_args=request.build_args,
        platform=request.platform,
        bases=bases,
        hides=ignore.parse(request.ignore).ignores,
        unknown=unknown,
        warnings_fail=False,
    )
    names = tuple(Reference.parse(source.reference).familiar for source in unknown)
    return Findings(written.source, lowered.warnings, names)


def _config(source: SourceImage, store: Store) -> ImageConfig | None:
    record = store.references.get(Reference.parse(source.reference))
    config = store.images.config(record.target) if record is not None else None
    return config if config is not None and source.platform.can_run(config.platform) else None
