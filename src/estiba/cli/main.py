"""The front door: global flags, the command's own parser, and one mapping of errors to messages and exit codes.

Exit codes: 0 done, 1 failed, 2 wrong usage, 125 `run`/`create`/`exec` itself failed or was used wrongly, 126 the
container's command cannot be executed, 127 it was not found, 128+n a signal; a container's own exit code is passed on.
130 is Ctrl-C.
"""

from __future__ import annotations

import errno
import os
import sys

from estiba import __version__
from estiba.cli import commands
from estiba.cli.usage import WrongUsage, flush_output, open_missing_streams, tell
from estiba.errors import CommandFailed, EstibaError, NotFound, NotThereYet
from estiba.values import TYPE_CHECKING, NamedTuple
from estiba.wiring.settings import Settings, read

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

    from estiba.wiring.house import House

# Commands whose exit code is the container's: what Estiba itself cannot do is told apart by 125.
_PASSES_EXIT_CODE_ON = frozenset({"run", "create", "exec"})

_FLAGS_WITH_VALUE = {
    "--root": "root",
    "--run": "run",
    "--runtime": "runtime",
    "--snapshotter": "snapshotter",
    "--insecure-registry": "insecure_registry",
}

_ASK_THE_DOCTOR = "Run `estiba doctor` to see what this machine allows."
_NO_THREAD = "can't start new thread"  # of the threading module, which has no class for it
_REMEDIES = {
    errno.ENOSPC: "Free some space: `estiba df` shows what Estiba takes, `estiba gc` frees what nothing needs.",
    errno.EDQUOT: "Free some space: `estiba df` shows what Estiba takes, `estiba gc` frees what nothing needs.",
    errno.EROFS: "Choose a place that can be written, such as another --root.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.EMFILE: "Allow this user more open files: ulimit -n",
    errno.ENFILE: "Allow the machine more open files: sysctl fs.file-max",
    errno.EAGAIN: "Allow this user more processes (ulimit -u), or end some.",
}

_USAGE = """\
Usage: estiba [--root DIR] [--run DIR] [--runtime NAME] [--snapshotter NAME] [--insecure-registry HOST] [--debug]
              COMMAND [ARGUMENTS]

Build, store, share and run container images: one package, no daemon needed.
"""


class Invocation(NamedTuple):
    """A command line taken apart: what stands before the command, the command, and its own arguments."""

    flags: dict[str, str]
    debug: bool
    command: str
    arguments: list[str]

    @property
    def verb(self) -> str:
        """The command, also where it is written with its noun: `container run` is `run`."""
        return self.arguments[0] if self.command == "container" and self.arguments else self.command


def main() -> NoReturn:
    """The console script `estiba`: runs the command and ends the process with its exit code."""
    # Others may read what we make where a mode says so, and never write it, whatever the caller's umask is.
    os.umask(os.umask(0o022) | 0o022)
    open_missing_streams()
    kept: list[House] = []
    status = run(sys.argv[1:], dict(os.environ), kept=kept)
    status = status if flush_output() else status or 1
    # At once, with the house as it stands: taking the interpreter down would cost 10 ms, and the last one to close the
    # database has SQLite copy its log and wait for the disk. What must be on the disk is there already.
    sys.stderr.flush()
    os._exit(status)


def run(words: Sequence[str], environment: dict[str, str], *, kept: list[House] | None = None) -> int:
    """Run one command line; gives the exit code. Every error that is understood has been told on stderr.

    What the command opened is closed again, or left to the caller in `kept`.
    """
    command = ""
    debug = bool(environment.get("ESTIBA_DEBUG"))
    try:
        invocation = parse(words)
        command, debug = invocation.verb, invocation.debug or debug
        return _dispatch(invocation, environment, kept)
    except CommandFailed as error:
        tell(error)
        return error.exit_code
    except EstibaError as error:
        if debug:
            raise
        tell(error)
        return _status(command, wrong=2 if isinstance(error, WrongUsage) else 1)
    except BrokenPipeError:
        flush_output()
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if debug:
            raise
        tell(EstibaError(_sentence(error), remedy=_REMEDIES.get(error.errno or 0, _ASK_THE_DOCTOR)))
        return _status(command, wrong=1)
    except RuntimeError as error:
        if debug or str(error) != _NO_THREAD:
            raise
        tell(EstibaError("no more threads can be started", remedy=_REMEDIES[errno.EAGAIN]))
        return _status(command, wrong=1)


def _status(command: str, *, wrong: int) -> int:
    return 125 if command in _PASSES_EXIT_CODE_ON else wrong


def parse(words: Sequence[str]) -> Invocation:
    """Take the global flags off the front.

    Raises:
        WrongUsage: an unknown flag, or one without its value.
    """
    flags: dict[str, str] = {}
    debug = False
    rest = list(words)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in _FLAGS_WITH_VALUE:
            if not equals:
                if not rest:
                    raise WrongUsage(f"{name} needs a value", remedy=f"Write {name} VALUE before the command.")
                value = rest.pop(0)
            key = _FLAGS_WITH_VALUE[name]
            is_more = key == "insecure_registry" and key in flags  # the one that may be given several times
            flags[key] = f"{flags[key]},{value}" if is_more else value
        elif name in {"-D", "--debug"}:
            debug = not equals or _is_true(value, word)
        elif word in {"-h", "--help"}:
            return Invocation(flags, debug, "help", rest)
        elif word in {"-v", "--version"}:
            return Invocation(flags, debug, "version", [])
        else:
            raise WrongUsage(f"unknown flag {word}", remedy="See `estiba --help` for the flags before a command.")
    if not rest:
        return Invocation(flags, debug, "help", [])
    return Invocation(flags, debug, rest[0], rest[1:])


def _is_true(text: str, word: str) -> bool:
    from estiba.cli.parser import TRUTHS

    if text not in TRUTHS:
        raise WrongUsage(f"{word}: {text!r} is neither true nor false", remedy="Write --debug before the command.")
    return TRUTHS[text]


def _dispatch(invocation: Invocation, environment: dict[str, str], kept: list[House] | None) -> int:
    name = invocation.command
    if name == "help":
        return _help(invocation.arguments)
    if name == "version":
        print(f"estiba version {__version__}")
        return 0
    command = _find(name)
    settings = read(environment, debug=invocation.debug, **invocation.flags)
    if settings.user_id and kept is not None and command.module not in commands.OUTSIDE:
        _enter_user_namespace(settings)
    return _run_command(name, command, invocation.arguments, settings, kept)


def _enter_user_namespace(settings: Settings) -> None:
    """An ordinary user who has ids to give goes on as root of a user namespace; without them everything stays."""
    from estiba.linux import subordinate_ids

    maps = subordinate_ids.find(settings.user_id, os.getegid())
    if maps is not None:
        from estiba.linux.user_namespace import enter

        enter(settings.run, maps)


def _run_command(
    name: str, command: commands.Command, arguments: list[str], settings: Settings, kept: list[House] | None
) -> int:
    from estiba.cli.parser import make_parser
    from estiba.wiring.house import House

    module, summary = _module(command), command.summary
    # One command of a group: its own parser is read alone, and without argparse where the line is plain.
    one = module.member(arguments[0]) if arguments and hasattr(module, "member") else None
    if one is not None:
        name, arguments = f"{name} {arguments[0]}", arguments[1:]
        module, summary = _module(commands.Command(*one)), one[1]
    parser = make_parser(f"estiba {name}", summary)
    module.add_arguments(parser)
    house = House(settings)
    if kept is not None:
        kept.append(house)
    try:
        status: int = module.run(parser.parse_args(arguments), house)
    finally:
        if kept is None:
            house.close()
    return status


def _module(command: commands.Command) -> Any:
    return __import__(f"estiba.cli.{command.module}", fromlist=["run"])  # importlib would load warnings for it


def _find(name: str) -> commands.Command:
    """The command called `name`.

    Raises:
        NotFound: there is none. NotThereYet: Estiba does not have it yet.
    """
    command = commands.find(name)
    if command is None:
        raise NotFound(f"{name!r} is not an estiba command{_near(name)}", remedy="See `estiba --help`.")
    if not command.module:
        raise NotThereYet(
            f"estiba {name} is not there yet ({command.summary[0].lower()}{command.summary[1:]})",
            remedy="SCOPE.md tells what Estiba does today and what comes next.",
        )
    return command


def _help(words: Sequence[str]) -> int:
    if words and words[0] not in ("help", "--help"):
        from estiba.cli.parser import make_parser

        command = _find(words[0])
        parser = make_parser(f"estiba {words[0]}", command.summary)
        _module(command).add_arguments(parser)
        parser.print_help()
        return 0
    print(_USAGE)
    for title, group in commands.GROUPS:
        print(f"{title}:")
        for name, command in group.items():
            print(f"  {name:<11} {command.summary}")
        print()
    print("Run `estiba COMMAND --help` for a command's flags.")
    return 0


def _near(name: str) -> str:
    from difflib import get_close_matches

    found = get_close_matches(name, [*commands.names(), *commands.NOT_THERE_YET], n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def _sentence(error: OSError) -> str:
    what = error.strerror or str(error)
    return f"{error.filename}: {what}" if error.filename else what


if __name__ == "__main__":
    main()
