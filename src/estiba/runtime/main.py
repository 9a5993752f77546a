"""The command `estiba-runtime`: runc's command line, one module per verb, imported when it is asked for."""

from __future__ import annotations

import os
import sys

from estiba import __version__
from estiba.errors import CommandFailed, EstibaError
from estiba.runtime import arguments
from estiba.runtime.errors import BadBundle
from estiba.runtime.log import Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from estiba.runtime.arguments import Arguments

_USAGE = """\
estiba-runtime: an OCI runtime (runtime-spec 1.3) with runc's command line

estiba-runtime [--root DIR] [--log FILE] [--log-format text|json] [--debug] [--quiet]
               [--systemd-cgroup] [--cgroup-manager cgroupfs|systemd|disabled] VERB [flags] ID

Verbs:
  create   make a container from a bundle (-b DIR, --config FILE), up to its program
  start    let the program of a created container begin
  run      create and start; in the foreground, or with --detach
  exec     run one more program in a running container
  kill     send a signal (default TERM); --all to every process
  delete   remove a stopped container; --force kills it before
  state    print a container's state as JSON
  list     list containers
  ps       list a container's processes
  pause    stop every process of a container
  resume   let them go on
  update   change limits of a running container
  events   print what a container uses, every --interval 5s or once (--stats)
  features print what this runtime can do, as JSON
  spec     write a config.json to start from
"""
# They start programs, so the interpreter must be out of reach.
_STARTERS = ("create", "run", "exec")


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    command_line = list(sys.argv[1:] if words is None else words)
    try:
        asked = arguments.parse(command_line)
    except EstibaError as error:
        # The parse that failed may have seen --log already: whoever reads it must hear of this.
        _log_of(_readable_flags(command_line)).error(str(error))
        return 1
    if asked.has("version"):
        from estiba.runtime.state import SPEC_VERSION

        os.write(1, f"estiba-runtime version {__version__}\ncommit: {__version__}\nspec: {SPEC_VERSION}\n".encode())
        return 0
    if asked.verb and asked.has("help"):
        from estiba.runtime.usage import usage_of

        os.write(1, usage_of(asked.verb).encode())
        return 0
    if not asked.verb:
        os.write(1, _USAGE.encode())
        return 0
    log = _log_of(asked)
    try:
        if asked.value("cgroup-manager"):
            from estiba.runtime import managers

            managers.manager_of(asked)
        if asked.verb in _STARTERS and words is None:
            from estiba.linux.processes import fill_standard_streams
            from estiba.runtime import interpreter

            interpreter.protect()
            fill_standard_streams()
        return _dispatch(asked, log)
    except CommandFailed as error:
        log.error(_sentence(asked.verb, error))
        return error.exit_code if asked.verb in ("run", "exec") else 1
    except EstibaError as error:
        log.error(_sentence(asked.verb, error))
        return 125 if asked.verb in ("run", "exec") else 1
    except OSError as error:
        log.error(_sentence(asked.verb, error))
        return 125 if asked.verb in ("run", "exec") else 1
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if asked.has("debug"):
            raise
        # JSON of another shape than the spec's: the places that read it say what they missed.
        fact = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        log.error(_sentence(asked.verb, BadBundle(f"the configuration is not of the spec's shape: {fact}")))
        return 125 if asked.verb in ("run", "exec") else 1


def _dispatch(asked: Arguments, log: Log) -> int:
    root = asked.value("root") or default_root()
    if asked.verb == "create":
        from estiba.runtime.verbs import create

        return create.run(asked, root, log)
    if asked.verb == "start":
        from estiba.runtime.verbs import start

        return start.run(asked, root)
    if asked.verb == "state":
        from estiba.runtime.verbs import state

        return state.run(asked, root)
    if asked.verb == "kill":
        from estiba.runtime.verbs import kill

        return kill.run(asked, root)
    if asked.verb == "delete":
        from estiba.runtime.verbs import delete

        return delete.run(asked, root)
    from estiba.runtime.verbs import others

    return others.run(asked, root, log)


def default_root() -> str:
    """Where containers are recorded: a directory that a reboot empties."""
    user = os.geteuid()
    return "/run/estiba-runtime" if user == 0 else f"/run/user/{user}/estiba-runtime"


def _sentence(verb: str, error: Exception) -> str:
    text = (error.strerror if isinstance(error, OSError) and not error.filename else "") or str(error)
    if verb in ("create", "run"):
        return f"{verb} failed: unable to start container process: {text}"
    return f"exec failed: unable to start container process: {text}" if verb == "exec" else text


def _log_of(asked: Arguments) -> Log:
    return Log(
        path=asked.value("log"),
        is_json=asked.value("log-format") == "json",
        is_debug=asked.has("debug"),
        is_quiet=asked.has("quiet"),
    )


def _readable_flags(words: Sequence[str]) -> Arguments:
    flags: dict[str, list[str]] = {}
    for position, word in enumerate(words):
        name, _, value = word.lstrip("-").partition("=")
        if word.startswith("--log"):
            flags[name] = [value or (words[position + 1] if position + 1 < len(words) else "")]
    return arguments.Arguments("", flags, [])


if __name__ == "__main__":
    sys.exit(main())
