"""`estiba exec`: run a command in a running container."""

from __future__ import annotations

import os

from estiba.cli.parser import REMAINDER
from estiba.cli.variables import read_environment
from estiba.engine.relay import Ends
from estiba.engine.terminal import DETACH, parse_detach_keys, require_terminal
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-d", "--detach", action="store_true", help="leave it in the background")
    add("--detach-keys", metavar="KEYS", help="keys that leave it (ctrl-p,ctrl-q)")
    add("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]", help="set a variable")
    add("--env-file", action="append", default=[], metavar="FILE", help="variables from a file")
    add("-i", "--interactive", action="store_true", help="keep standard input open")
    add("--privileged", action="store_true", help="with every capability")
    add("-t", "--tty", action="store_true", help="give it a terminal")
    add("-u", "--user", default="", metavar="USER[:GROUP]", help="user inside")
    add("-w", "--workdir", default="", metavar="DIRECTORY", help="working directory inside")
    add("container", metavar="CONTAINER")
    add("command", nargs=REMAINDER, metavar="COMMAND", help="and its arguments")


def run(arguments: argparse.Namespace, house: House) -> int:
    """Gives the command's exit code."""
    from estiba.engine import exec as execution

    if not arguments.command:
        from estiba.cli.usage import WrongUsage

        raise WrongUsage("exec needs a command", remedy="Write estiba exec CONTAINER COMMAND.")
    options = execution.ExecOptions(
        args=tuple(arguments.command),
        env=read_environment(arguments.env_file, arguments.env, house.settings.environment),
        user=arguments.user,
        working_dir=arguments.workdir,
        tty=arguments.tty,
        interactive=arguments.interactive,
        privileged=arguments.privileged,
    )
    if options.tty and options.interactive and not arguments.detach:
        require_terminal(0)
    engine = house.engine
    record = engine.find(arguments.container)
    if arguments.detach:
        execution.start_detached(engine, record, options)
        return 0
    keys = parse_detach_keys(arguments.detach_keys) if arguments.detach_keys is not None else DETACH
    ends = Ends(
        input=0 if options.interactive else -1,
        raw=options.tty and os.isatty(0),
        detach_keys=keys if options.tty else b"",
    )
    outcome = execution.run(engine, record, options, ends)
    return 0 if outcome.exit_code is None else outcome.exit_code
