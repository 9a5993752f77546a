"""Looking into a step of a build that is over: a shell in its files, with its variables, its user and its directory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from estiba.builder import layer, leftovers
from estiba.builder.record import BuildRecord, StepRecord
from estiba.builder.request import BuildSurroundings
from estiba.builder.step.job import Job, Place, RunAction, with_variables
from estiba.errors import InvalidInput, NotFound
from estiba.oci.digest import Digest
from estiba.store.store import Store

_SHELL = "/bin/sh"
_VARIABLE = "variable "


def choose(record: BuildRecord, line: int) -> StepRecord:
    """The step of `record` that stands on `line` of its Dockerfile; with 0 the one that failed, else the last.

    Raises:
        InvalidInput: there is none that made files or failed.
    """
    steps = [step for step in record.steps if step.key]
    found = (
        [step for step in steps if step.line == line] if line else [each for each in steps if each.state == "failed"]
    )
    found = found or (steps if not line else [])
    if not found:
        lines = ", ".join(str(each) for each in sorted({step.line for step in steps}))
        raise InvalidInput(
            f"there is no step on line {line} of that build" if line else "no step of that build was begun",
            remedy=f"There are steps on the lines {lines}." if lines else "Build it again.",
        )
    return found[-1]


def look_into(step: StepRecord, *, store: Store, surroundings: BuildSurroundings, variables: Sequence[str]) -> None:
    """Open a shell on our own terminal in the files that `step` has made, or where it failed in those it began with.

    `variables` are given besides its own. What is changed is dropped.

    Raises:
        NotFound: the files are no longer there.
    """
    from estiba.builder.step.spawn import attend

    chain_id, parts = _files(step, store)
    build_id = f"build-{os.urandom(6).hex()}"
    name = f"{build_id}-shell"
    with store.leases.hold(f"shell in {step.name}"), leftovers.RunningBuild(surroundings.steps, build_id):
        mounts = store.snapshots.prepare(name, chain_id)
        try:
            action = _action(name, parts, surroundings, variables)
            writable = store.snapshots.writable(name)
            attend(Job(f"{surroundings.steps}/{name}", Place(mounts), writable, None, action))
        finally:
            layer.discard(store, name)


def _files(step: StepRecord, store: Store) -> tuple[Digest, Mapping[str, str]]:
    """The snapshot to look into, and what the step depended on."""
    cached = store.cache.peek(step.key)
    if cached is not None and cached.chain_id is not None and store.snapshots.has(cached.chain_id):
        return cached.chain_id, cached.parts
    below = Digest.parse(step.below) if step.below else None
    if step.state != "failed" or below is None or not store.snapshots.has(below):
        raise NotFound(f"the files of {step.name} are no longer there", remedy="Build it again.")
    return below, dict(step.parts)


def _action(
    name: str, parts: Mapping[str, str], surroundings: BuildSurroundings, variables: Sequence[str]
) -> RunAction:
    env = (f"{key.removeprefix(_VARIABLE)}={value}" for key, value in parts.items() if key.startswith(_VARIABLE))
    runtime = surroundings.runtime()
    return RunAction(
        arguments=(_SHELL,),
        env=with_variables(env, variables),
        user=parts.get("user", ""),
        working_dir=parts.get("working directory", "/"),
        mounts=(),
        files=(),
        network="bridge" if parts.get("network", "default") == "default" else "none",
        privileged=False,
        container_id=name,
        runtime=runtime.command,
        runtime_root=runtime.root,
        runtime_is_ours=runtime.is_ours,
        networks_root=surroundings.networks_root,
        networks_run=surroundings.networks_run,
        resolv_conf=surroundings.resolv_conf,
        own_ids=surroundings.own_ids,
        terminal=True,
    )
