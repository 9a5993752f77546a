"""From wanted and actual to the steps between them, each with its reason. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from estiba.deploy.app import Actual, Release
from estiba.errors import Conflict

CREATE = "create"
START = "start"
PROBE = "probe"
STOP = "stop"
REMOVE = "remove"
RENAME = "rename"


class Step(NamedTuple):
    """`action` on the container `name`; a rename's new name is `to`."""

    action: str
    name: str
    reason: str
    to: str = ""

    def __str__(self) -> str:
        return f"{self.action} {self.name}{' to ' + self.to if self.to else ''}: {self.reason}"


def next_name(app: str) -> str:
    """What the new container of `app` is called until it has proved itself."""
    return f"{app}.next"


def previous_name(app: str) -> str:
    """What the old container is called while the new one proves itself."""
    return f"{app}.previous"


def plan(release: Release, actual: Mapping[str, Actual]) -> tuple[Step, ...]:
    """The steps that make `release` the running one; none where it is that already.

    `actual` holds the containers of this machine by name. Leftovers of a deployment that was cut go first: if the app
    itself is missing, its previous container is put back before anything else.

    The old container keeps running while the new one is made; it is stopped before the new one starts, because both
    want the same ports, and removed only when the new one has answered.

    Raises:
        Conflict: a container of the app's name is there that Estiba has not deployed.
    """
    name = release.app.name
    current = actual.get(name)
    steps: list[Step] = []
    if next_name(name) in actual:
        steps.append(Step(REMOVE, next_name(name), "it is left of a deployment that was cut"))
    previous = actual.get(previous_name(name))
    if previous is not None and current is None:
        steps.append(Step(RENAME, previous.name, "a deployment was cut before the new one had proved itself", to=name))
        current = previous._replace(name=name)
    elif previous is not None:
        steps.append(Step(REMOVE, previous.name, "it is left of a deployment that was cut"))
    if current is not None and not current.fingerprint:
        raise Conflict(
            f"there is a container {name} which was not deployed by Estiba",
            remedy=f"Rename or remove it (estiba rm -f {name}), or give the app another name.",
        )
    if current is not None and current.fingerprint == release.fingerprint:
        return (*steps, *_keep(current))
    return (*steps, *_replace(release, current))


def _keep(current: Actual) -> tuple[Step, ...]:
    if current.is_running:
        return ()
    return (
        Step(START, current.name, "the wanted release is there but does not run"),
        Step(PROBE, current.name, "it must answer"),
    )


def _replace(release: Release, current: Actual | None) -> tuple[Step, ...]:
    name, new = release.app.name, next_name(release.app.name)
    if current is None:
        return (
            Step(CREATE, new, f"nothing of {name} runs yet"),
            Step(START, new, "it is the first release"),
            Step(PROBE, new, "it must answer before it counts"),
            Step(RENAME, new, "it has answered", to=name),
        )
    old = previous_name(name)
    steps = [Step(CREATE, new, f"{current.version or 'what runs'} becomes {release.version}")]
    steps.append(Step(RENAME, name, "the name is for the new one", to=old))
    if current.is_running:
        steps.append(Step(STOP, old, "the new one wants its ports"))
    return (
        *steps,
        Step(START, new, "it takes over"),
        Step(PROBE, new, "it must answer before the old one goes"),
        Step(RENAME, new, "it has answered", to=name),
        Step(REMOVE, old, f"{release.version} has taken over"),
    )
