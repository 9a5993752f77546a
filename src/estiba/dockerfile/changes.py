"""Changes of a configuration, written as instructions of a Dockerfile (`import --change`). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from estiba.dockerfile.instructions import Copy, From, Run, Workdir
from estiba.dockerfile.lower import lower
from estiba.dockerfile.parse import parse
from estiba.dockerfile.scope import DEFAULT_PATH
from estiba.dockerfile.stages import stages
from estiba.errors import InvalidInput
from estiba.oci.image_config import RunConfig
from estiba.oci.platform import Platform


def apply_changes(changes: Sequence[str], *, platform: Platform) -> RunConfig:
    """What a container of an image runs that says nothing but `changes`, such as ``CMD ["/app"]``.

    Raises:
        DockerfileError: an instruction that makes no sense. InvalidInput: one that changes files, or no instruction.
    """
    if not changes:
        return RunConfig()
    for change in changes:
        if "\n" in change.strip() or not change.strip():
            raise InvalidInput(f"{change!r} is no change", remedy="Write one instruction: --change 'CMD [\"/app\"]'.")
    document = parse("\n".join(("FROM scratch", *changes)), filename="--change")
    for instruction in document.instructions[1:]:
        if isinstance(instruction, From | Run | Copy):
            raise InvalidInput(
                f"{instruction.at.keyword} is no change of a configuration",
                remedy="CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR and their like are.",
            )
    run = lower(stages(document), build_args={}, platform=platform, bases={}).run
    has_workdir = any(isinstance(instruction, Workdir) for instruction in document.instructions)
    # What a stage that begins empty has by itself.
    env = tuple(entry for entry in run.env if entry != f"PATH={DEFAULT_PATH}")
    return run._replace(env=env, working_dir=run.working_dir if has_workdir else "")
