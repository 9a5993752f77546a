"""Carrying out a plan; where a step fails, those before it are taken back, so that the old release runs again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from estiba.deploy import plan as steps
from estiba.deploy.app import Actual, Release
from estiba.deploy.plan import Step
from estiba.errors import EstibaError

Say = Callable[[str], None]


class Containers(Protocol):
    """What a deployment needs of the machine that it deploys to; names are names of containers."""

    def actual(self) -> dict[str, Actual]:
        """The containers that are there, by name."""

    def create(self, name: str, release: Release) -> None: ...

    def start(self, name: str) -> None: ...

    def stop(self, name: str) -> None: ...

    def remove(self, name: str) -> None:
        """Remove it, running or not."""

    def rename(self, name: str, to: str) -> None: ...

    def await_ready(self, name: str, release: Release) -> None:
        """Wait until it answers.

        Raises:
            NotReady: it ended, or did not answer in time.
        """

    def last_words(self, name: str) -> str:
        """The end of its log."""


class ReleaseFailed(EstibaError):
    """The new release could not take over; what ran before runs again."""

    def __init__(self, release: Release, step: Step, error: EstibaError, *, logs: str, restored: str) -> None:
        tail = f"\nits last words:\n{logs}" if logs else ""
        super().__init__(
            f"{release.app.name} {release.version} did not take over: {step.action} failed: {error.message}{tail}",
            remedy=restored,
        )


def execute(plan: Sequence[Step], release: Release, containers: Containers, *, say: Say) -> None:
    """Do the steps in order, telling each.

    Raises:
        ReleaseFailed: a step failed; the machine is as it was before.
    """
    done: list[Step] = []
    for step in plan:
        say(str(step))
        try:
            _do(step, release, containers)
        except EstibaError as error:
            logs = containers.last_words(step.name) if step.action in (steps.START, steps.PROBE) else ""
            restored = _take_back([*done, step], release, containers, say)
            raise ReleaseFailed(release, step, error, logs=logs, restored=restored) from error
        done.append(step)


def _do(step: Step, release: Release, containers: Containers) -> None:
    match step.action:
        case steps.CREATE:
            containers.create(step.name, release)
        case steps.START:
            containers.start(step.name)
        case steps.PROBE:
            containers.await_ready(step.name, release)
        case steps.STOP:
            containers.stop(step.name)
        case steps.REMOVE:
            containers.remove(step.name)
        case steps.RENAME:
            containers.rename(step.name, step.to)


def _take_back(done: Sequence[Step], release: Release, containers: Containers, say: Say) -> str:
    """Undo what was done, the last first; gives what is the case afterwards, for people."""
    restored = "Nothing of it is left."
    for step in reversed(done):
        try:
            match step.action:
                case steps.CREATE:
                    say(f"take back: remove {step.name}")
                    containers.remove(step.name)
                case steps.STOP:
                    say(f"take back: start {step.name}")
                    containers.start(step.name)
                    restored = "The release before it runs again."
                case steps.RENAME if step.to in containers.actual():
                    containers.rename(step.to, step.name)
        except EstibaError as error:
            say(f"could not take back {step}: {error.message}")
            restored = f"It could not all be taken back: {error.message}"
    return restored
