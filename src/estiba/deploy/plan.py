"""From wanted and actual to the steps between them, each with its reason. Pure.

How a release takes over; in brackets the names of the containers that are there afterwards, * runs::

    [app*]  create app.next              [app* app.next]
            rename app to app.previous   [app.previous* app.next]
            stop app.previous            [app.previous app.next]
            start app.next, probe it     [app.previous app.next*]
            rename app.next to app       [app.previous app*]
            remove app.previous          [app*]

Whatever of these is found says where a deployment was cut. Until the last but one line the old release counts.
"""

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

_CUT = "it is left of a deployment that was cut"


class Step(NamedTuple):
    """`action` on the container `name`; a rename's new name is `to`."""

    action: str
    name: str
    reason: str
    to: str = ""

    def __str__(self) -> str:
        return f"{self.action} {self.name}{' to ' + self.to if self.to else ''}: {self.reason}"


class ForeignContainer(Conflict):
    def __init__(self, name: str, app: str) -> None:
        super().__init__(
            f"there is a container {name} which was not deployed as the app {app}",
            remedy=f"Rename or remove it (estiba rm -f {name}), or give the app another name.",
        )


def next_name(app: str) -> str:
    """What the new container of `app` is called until it has proved itself."""
    return f"{app}.next"


def previous_name(app: str) -> str:
    """What the old container is called while the new one proves itself."""
    return f"{app}.previous"


def plan(release: Release, actual: Mapping[str, Actual]) -> tuple[Step, ...]:
    """The steps that make `release` the running one; none where it is that already.

    `actual` holds the containers of this machine by name. Leftovers of a deployment that was cut go first; where that
    one had not got to its end, the release before it is put back and started before anything else.

    The old container keeps running while the new one is made; it is stopped before the new one starts, because both
    want the same ports, and removed only when the new one has answered.

    Raises:
        ForeignContainer: a container with one of the app's names is there that was not deployed as this app.
    """
    app = release.app.name
    _refuse_foreign(app, actual)
    leftovers, current = _leftovers(app, actual)
    if current is not None and current.fingerprint == release.fingerprint:
        return (*leftovers, *_keep(current))
    return (*leftovers, *_replace(release, current))


def repair(app: str, actual: Mapping[str, Actual]) -> tuple[Step, ...]:
    """The steps that end a deployment of `app` which was cut: what ran before runs again, or what has answered stays.

    Raises:
        ForeignContainer: as for `plan`.
    """
    _refuse_foreign(app, actual)
    return _leftovers(app, actual)[0]


def _refuse_foreign(app: str, actual: Mapping[str, Actual]) -> None:
    for name in (app, next_name(app), previous_name(app)):
        if name in actual and (actual[name].app != app or not actual[name].fingerprint):
            raise ForeignContainer(name, app)


def _leftovers(app: str, actual: Mapping[str, Actual]) -> tuple[tuple[Step, ...], Actual | None]:
    """The steps that undo or finish a deployment that was cut, and the app's container after them."""
    current, previous = actual.get(app), actual.get(previous_name(app))
    steps = []
    if next_name(app) in actual:
        steps.append(Step(REMOVE, next_name(app), _CUT))
    if previous is not None and current is not None:
        steps.append(Step(REMOVE, previous.name, _CUT))
    elif previous is not None:
        if not previous.is_running:
            steps.append(Step(START, previous.name, "it ran before a deployment was cut"))
        steps.append(Step(RENAME, previous.name, "the new one had not proved itself", to=app))
        current = previous._replace(name=app, is_running=True)
    return tuple(steps), current


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
            Step(CREATE, new, f"nothing of {name} is there yet"),
            Step(START, new, "it is the first release"),
            Step(PROBE, new, "it must answer before it counts"),
            Step(RENAME, new, "it has answered", to=name),
        )
    old = previous_name(name)
    steps = [
        Step(CREATE, new, f"{current.version or 'what is there'} becomes {release.version}"),
        Step(RENAME, name, "the name is for the new one", to=old),
    ]
    if current.is_running:
        steps.append(Step(STOP, old, "the new one wants its ports"))
    return (
        *steps,
        Step(START, new, "it takes over"),
        Step(PROBE, new, "it must answer before the old one goes"),
        Step(RENAME, new, "it has answered", to=name),
        Step(REMOVE, old, f"{release.version} has taken over"),
    )
