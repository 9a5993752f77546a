"""The life of a container as one table. Pure.

created ──▶ running ⇄ paused          removing is the last state of all: the row goes when everything else is gone
            │    ▲ ╲
            ▼    │  ▶ restarting      a monitor that waits until it starts the container again
          exited ┘
dead: a removal failed half-way; it can only be removed again
"""

from __future__ import annotations

from estiba.errors import Conflict
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

CREATED: Final = "created"
STARTING: Final = "starting"
RUNNING: Final = "running"
PAUSED: Final = "paused"
RESTARTING: Final = "restarting"
EXITED: Final = "exited"
REMOVING: Final = "removing"
DEAD: Final = "dead"

NEXT: dict[str, frozenset[str]] = {
    CREATED: frozenset({STARTING, REMOVING}),
    STARTING: frozenset({CREATED, RUNNING, EXITED, REMOVING}),
    RUNNING: frozenset({PAUSED, RESTARTING, EXITED, REMOVING}),
    PAUSED: frozenset({RUNNING, EXITED, REMOVING}),
    RESTARTING: frozenset({RUNNING, EXITED, REMOVING}),
    EXITED: frozenset({STARTING, REMOVING}),
    REMOVING: frozenset({DEAD}),
    DEAD: frozenset({REMOVING}),
}
"""State -> the states that may follow it."""

HAS_MONITOR = frozenset({STARTING, RUNNING, PAUSED, RESTARTING})
"""States in which a monitor must be alive. Where it is not, it was killed."""

# What a command needs: command -> (states in which it may act, states in which it has nothing to do)
ACCEPTS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "start": (frozenset({CREATED, EXITED}), frozenset({STARTING, RUNNING, RESTARTING})),
    "stop": (frozenset({STARTING, RUNNING, PAUSED, RESTARTING}), frozenset({CREATED, EXITED, DEAD})),
    "kill": (frozenset({RUNNING, PAUSED, RESTARTING}), frozenset()),
    "exec": (frozenset({RUNNING}), frozenset()),
    "attach": (frozenset({RUNNING}), frozenset()),
    "pause": (frozenset({RUNNING}), frozenset()),
    "unpause": (frozenset({PAUSED}), frozenset()),
    "copy": (frozenset({CREATED, RUNNING, PAUSED, EXITED}), frozenset()),
    "commit": (frozenset({CREATED, RUNNING, PAUSED, EXITED}), frozenset()),
    "export": (frozenset({CREATED, RUNNING, PAUSED, EXITED}), frozenset()),
    "top": (frozenset({RUNNING, PAUSED}), frozenset()),
    "remove": (frozenset({CREATED, EXITED, DEAD, REMOVING}), frozenset()),
}

_REMEDIES = {
    STARTING: "Wait until it runs: estiba ps",
    RUNNING: "Stop it first: estiba stop {name}. Or remove it by force: estiba rm -f {name}",
    PAUSED: "Let it go on first: estiba unpause {name}",
    RESTARTING: "Stop it first: estiba stop {name}",
    CREATED: "Start it first: estiba start {name}",
    EXITED: "Start it first: estiba start {name}",
    REMOVING: "Wait until it is gone: estiba ps -a",
    DEAD: "Only its removal is left: estiba rm {name}",
}
_NOTHING_TO_KILL = "There is nothing to kill. See what runs: estiba ps"
_REMEDIES_OF_COMMANDS = {
    ("unpause", RUNNING): "There is nothing to do: its processes are not stopped.",
    ("kill", CREATED): _NOTHING_TO_KILL,
    ("kill", EXITED): _NOTHING_TO_KILL,
}


class WrongState(Conflict):
    """The container is not in a state that allows the command."""

    def __init__(self, name: str, command: str, state: str) -> None:
        words = {CREATED: "not running (created)", EXITED: "not running (exited)"}
        remedy = _REMEDIES_OF_COMMANDS.get((command, state)) or _REMEDIES[state]
        super().__init__(
            f"container {name} is {words.get(state, state)}: it cannot be {_DONE.get(command, command)}",
            remedy=remedy.format(name=name),
        )


_DONE = {
    "start": "started",
    "stop": "stopped",
    "kill": "killed",
    "exec": "entered",
    "attach": "attached to",
    "pause": "paused",
    "unpause": "let go on",
    "top": "looked into",
    "commit": "made an image of",
    "export": "exported",
    "copy": "copied from or to",
    "remove": "removed",
}


def must_act(command: str, state: str, *, name: str) -> bool:
    """Whether `command` has something to do for the container `name` in `state`; False when it is done already.

    Raises:
        WrongState: the command makes no sense now.
    """
    acting, done = ACCEPTS[command]
    if state in acting:
        return True
    if state in done:
        return False
    raise WrongState(name, command, state)
