"""Carrying out a plan; where a step fails, those before it are taken back, so that the old release runs again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from estiba.deploy import plan as steps
from estiba.deploy.app import Actual, Release
from estiba.deploy.plan import Step
from estiba.errors import EstibaError
from estiba.graph.cancellation import Cancelled

Say = Callable[[str], None]


class Containers(Protocol):
    """What a deployment needs of the machine that it deploys to; names are names of containers.

    Each method raises an `EstibaError` where it cannot: `NotFound` for a name that is not there, `AlreadyExists` for
    one that is taken.
    """

    def actual(self) -> dict[str, Actual]:
        """The containers that are there, by name."""

    def create(self, name: str, release: Release) -> None: ...

    def start(self, name: str) -> None:
        """Start it; one that runs already stays as it is."""

    def stop(self, name: str, *, at_once: bool = False) -> None:
        """End it, `at_once` without waiting for it to end by itself; one that does not run stays as it is."""

    def remove(self, name: str) -> None:
        """Remove it, running or not."""

    def rename(self, name: str, to: str) -> None: ...

    def await_ready(self, name: str, release: Release) -> None:
        """Wait until it answers.

        Raises:
            NotReady: it ended, or did not answer in time. Cancelled: the wait was given up.
        """

    def last_words(self, name: str) -> str:
        """The end of its log, "" where there is none. Never raises."""


class ReleaseFailed(EstibaError):
    """The new release did not take over."""

    def __init__(self, release: Release, step: Step, error: EstibaError, *, last_words: str, outcome: str) -> None:
        said = f"Its last words:\n{last_words}\n" if last_words else ""
        super().__init__(
            f"{release.app.name} {release.version} did not take over: {step.action} failed: {error.message}",
            remedy=said + outcome,
        )


def execute(plan: Sequence[Step], release: Release, containers: Containers, *, say: Say) -> None:
    """Do the steps in order, telling each.

    Raises:
        ReleaseFailed: a step failed; what was done is taken back, or the error says what could not be.
        Cancelled: it was given up, and taken back in the same way.
    """
    for number, step in enumerate(plan):
        say(str(step))
        try:
            _do(step, release, containers)
        except BaseException as error:
            if _is_done_without(plan, number) and isinstance(error, EstibaError):
                say(f"it goes on without that: {error.message}")
                continue
            words = containers.last_words(step.name) if step.action in (steps.START, steps.PROBE) else ""
            outcome = _take_back(plan[:number], step, containers, say)
            if isinstance(error, EstibaError) and not isinstance(error, Cancelled):
                raise ReleaseFailed(release, step, error, last_words=words, outcome=outcome) from error
            raise


def repair(app: str, containers: Containers, *, say: Say) -> None:
    """End a deployment of `app` that was cut; what cannot be done is told, and is left to the next deployment."""
    try:
        for step in steps.repair(app, containers.actual()):
            say(str(step))
            _change(step, containers)
    except EstibaError as error:
        say(f"{app} could not be put right: {error.message}")


def _do(step: Step, release: Release, containers: Containers) -> None:
    if step.action == steps.CREATE:
        containers.create(step.name, release)
    elif step.action == steps.PROBE:
        containers.await_ready(step.name, release)
    else:
        _change(step, containers)


def _change(step: Step, containers: Containers) -> None:
    match step.action:
        case steps.START:
            containers.start(step.name)
        case steps.STOP:
            containers.stop(step.name)
        case steps.REMOVE:
            containers.remove(step.name)
        case steps.RENAME:
            containers.rename(step.name, step.to)


def _is_done_without(plan: Sequence[Step], number: int) -> bool:
    """Whether the step may fail: removing the old release once the new one answers, or starting it before all else."""
    action = plan[number].action
    creation = next((index for index, step in enumerate(plan) if step.action == steps.CREATE), len(plan))
    is_last_removal = action == steps.REMOVE and creation < number
    return is_last_removal or (action == steps.START and number < creation < len(plan))


def _take_back(done: Sequence[Step], failed: Step, containers: Containers, say: Say) -> str:
    """Undo what was done, the last first; gives what is the case afterwards, for people.

    A step that failed may have been done in part, so it is undone too.
    """
    problems = []
    restored = False
    for step in (failed, *reversed(done)):
        try:
            restored |= _undo(step, done, containers, say)
        except EstibaError as error:
            say(f"could not take back {step.action} {step.name}: {error.message}")
            problems.append(error.message)
    if problems:
        return f"It could not all be taken back: {'; '.join(problems)}"
    return "The release before it runs again." if restored else "Nothing that ran before has changed."


def _undo(step: Step, done: Sequence[Step], containers: Containers, say: Say) -> bool:
    """Undo one step as far as it was done; gives whether an old release runs again by that."""
    there = containers.actual()
    match step.action:
        case steps.CREATE if step.name in there:
            say(f"take back: remove {step.name}")
            containers.remove(step.name)
        case steps.START if step.name in there and _is_new(step.name, done):
            say(f"take back: stop {step.name}")
            containers.stop(step.name, at_once=True)
        case steps.STOP if step.name in there:
            say(f"take back: start {step.name}")
            containers.start(step.name)
            return True
        case steps.RENAME if step.to in there and step.name not in there and _is_undone(step, done):
            say(f"take back: rename {step.to} to {step.name}")
            containers.rename(step.to, step.name)
    return False


def _is_new(name: str, done: Sequence[Step]) -> bool:
    """Whether the plan itself made the container: what was there before may run."""
    return any(step.action == steps.CREATE and step.name == name for step in done)


def _is_undone(step: Step, done: Sequence[Step]) -> bool:
    """A rename that puts back what a cut deployment left is no part of the new release."""
    first = next((number for number, each in enumerate(done) if each.action == steps.CREATE), len(done))
    return step not in done[:first]
