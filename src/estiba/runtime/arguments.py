"""The command line, read with a table: runc's flags, before and behind the verb, in Go's and GNU's spellings."""

from __future__ import annotations

from estiba.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# name -> whether it takes a value. "" as a value: the flag may be given without one.
GLOBAL: dict[str, bool] = {
    "root": True,
    "log": True,
    "log-format": True,
    "debug": False,
    "quiet": False,
    "systemd-cgroup": False,
    "cgroup-manager": True,
    "rootless": True,
    "criu": True,
    "version": False,
    "help": False,
}

_CREATE: dict[str, bool] = {
    "bundle": True,
    "config": True,
    "pid-file": True,
    "console-socket": True,
    "preserve-fds": True,
    "no-pivot": False,
    "no-new-keyring": False,
    "pidfd-socket": True,
}

VERBS: dict[str, dict[str, bool]] = {
    "create": _CREATE,
    "run": {**_CREATE, "detach": False, "keep": False, "no-subreaper": False},
    "start": {},
    "state": {},
    "kill": {"all": False},
    "delete": {"force": False},
    "exec": {
        "process": True,
        "pid-file": True,
        "console-socket": True,
        "pidfd-socket": True,
        "preserve-fds": True,
        "detach": False,
        "tty": False,
        "env": True,
        "cwd": True,
        "user": True,
        "additional-gids": True,
        "cap": True,
        "no-new-privs": False,
        "cgroup": True,
        "ignore-paused": False,
        "process-label": True,
        "apparmor": True,
    },
    "ps": {"format": True},
    "list": {"format": True, "quiet": False},
    "pause": {},
    "resume": {},
    "update": {
        "resources": True,
        "memory": True,
        "memory-reservation": True,
        "memory-swap": True,
        "cpu-period": True,
        "cpu-quota": True,
        "cpu-share": True,
        "cpuset-cpus": True,
        "cpuset-mems": True,
        "cpu-burst": True,
        "cpu-idle": True,
        "cpu-rt-period": True,
        "cpu-rt-runtime": True,
        "kernel-memory": True,
        "kernel-memory-tcp": True,
        "l3-cache-schema": True,
        "mem-bw-schema": True,
        "pids-limit": True,
        "blkio-weight": True,
    },
    "events": {"stats": False, "interval": True},
    "features": {},
    "spec": {"bundle": True, "rootless": False},
    "checkpoint": {},
    "restore": {},
}

SHORT = {
    "b": "bundle",
    "d": "detach",
    "p": "process",
    "t": "tty",
    "e": "env",
    "u": "user",
    "g": "additional-gids",
    "c": "cap",
    "f": "force",
    "a": "all",
    "q": "quiet",
    "r": "resources",
    "v": "version",
    "h": "help",
}
SHORT_OF_VERB = {("list", "f"): "format", ("ps", "f"): "format", ("run", "f"): "config", ("create", "f"): "config"}


# how many words a verb takes that are no flags, where that is not one; None: the rest is somebody else's
_MOST_OPERANDS = {"exec": None, "ps": None, "kill": 2, "list": 0, "features": 0, "spec": 0}

# Verbs of runc that are refused.
_NOT_THERE = ("checkpoint", "restore")


class Arguments:
    """A parsed command line. `flags` has each flag's values in order, [""] for one without a value."""

    __slots__ = ("flags", "operands", "verb")

    def __init__(self, verb: str, flags: dict[str, list[str]], operands: list[str]) -> None:
        self.verb = verb
        self.flags = flags
        self.operands = operands

    def has(self, name: str) -> bool:
        return name in self.flags and self.flags[name][-1] != "false"

    def value(self, name: str, default: str = "") -> str:
        return self.flags[name][-1] if name in self.flags else default

    def values(self, name: str) -> list[str]:
        return self.flags.get(name, [])

    def number(self, name: str, default: int = 0) -> int:
        text = self.value(name)
        if not text:
            return default
        try:
            return int(text)
        except ValueError:
            raise InvalidInput(f"--{name} takes a number, not {text!r}") from None

    def container_id(self) -> str:
        """The first operand.

        Raises:
            InvalidInput: it is missing.
        """
        if not self.operands:
            raise InvalidInput(f"{self.verb} needs the id of a container")
        return self.operands[0]


def parse(words: Sequence[str]) -> Arguments:
    """Read a command line without the program's name.

    Raises:
        InvalidInput: an unknown verb or flag, or a value is missing.
    """
    flags: dict[str, list[str]] = {}
    position = _flags(words, 0, GLOBAL, flags, verb="")
    if position == len(words):
        return Arguments("", flags, [])
    verb = words[position]
    if verb in ("help", "h"):
        verb, words = words[-1], [*words[:-1], words[-1], "--help"]
        position = len(words) - 2
        if verb in ("help", "h"):
            return Arguments("", {**flags, "help": [""]}, [])
    if verb not in VERBS and words[position + 1 :] and words[position + 1] in ("-h", "--help"):
        raise InvalidInput(f"No help topic for {verb!r}", remedy=f"Verbs: {' '.join(VERBS)}.")
    if verb not in VERBS:
        raise InvalidInput(f"there is no verb {verb!r}", remedy=f"Verbs: {' '.join(VERBS)}.")
    if verb in _NOT_THERE and not any(word in ("-h", "--help") for word in words):
        return Arguments(verb, flags, [])  # refused by its name, whatever flags it comes with
    operands: list[str] = []
    position += 1
    while position < len(words):
        following = _flags(words, position, {**VERBS[verb], "help": False}, flags, verb=verb)
        if following < len(words):
            operands.append(words[following])
            following += 1
            # Behind the id of the container, the rest of `exec` and `ps` belongs to the program.
            if verb in ("exec", "ps") or words[following - 2] == "--":
                operands.extend(words[following:])
                break
        position = following
    most = _MOST_OPERANDS.get(verb, 1)
    if most is not None and len(operands) > most:
        raise InvalidInput(f"{verb} takes no {operands[most]!r} behind {' '.join(operands[:most]) or 'it'}")
    return Arguments(verb, flags, operands)


def _flags(
    words: Sequence[str], position: int, known: dict[str, bool], found: dict[str, list[str]], *, verb: str
) -> int:
    """Read flags from `position` on; gives the position of the first word that is none."""
    while position < len(words):
        word = words[position]
        if word == "--":
            return position + 1
        if not word.startswith("-") or word == "-":
            return position
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("--") and len(name) == 1:
            name = SHORT_OF_VERB.get((verb, name), SHORT.get(name, name))
        elif not word.startswith("--") and name not in known and all(letter in SHORT for letter in name):
            for letter in name[:-1]:  # -td
                found.setdefault(SHORT[letter], []).append("")
            name = SHORT[name[-1]]
        if name not in known:
            raise InvalidInput(f"there is no flag {word!r} {'for ' + verb if verb else 'before the verb'}")
        position += 1
        if known[name] and not equals:
            if position == len(words):
                raise InvalidInput(f"the flag {word!r} needs a value")
            value = words[position]
            position += 1
        found.setdefault(name, []).append(value)
    return position
