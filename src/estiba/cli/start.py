"""`estiba start`: start containers that were made before."""

from __future__ import annotations

import os

from estiba.cli.each import for_each
from estiba.errors import InvalidInput
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--attach", action="store_true", help="stay with it until it ends")
    parser.add_argument("-i", "--interactive", action="store_true", help="give it standard input too")
    parser.add_argument("--detach-keys", metavar="KEYS", help="keys that leave it (ctrl-p,ctrl-q)")
    parser.add_argument("containers", nargs="+", metavar="CONTAINER")


def run(arguments: argparse.Namespace, house: House) -> int:
    if arguments.attach or arguments.interactive:
        if len(arguments.containers) != 1:
            raise InvalidInput("you cannot start and attach multiple containers at once")
        return _start_and_attach(arguments, house)

    def start(name: str) -> str:
        connection = house.engine.start(name)
        if connection is not None:
            connection.close()
        return name

    return for_each(arguments.containers, start)


def _start_and_attach(arguments: argparse.Namespace, house: House) -> int:
    from estiba.engine.engine import Attachment
    from estiba.engine.relay import Ends, relay
    from estiba.engine.terminal import DETACH, parse_detach_keys, size_of

    record = house.engine.find(arguments.containers[0])
    options = record.parsed_options()
    gives_input = arguments.interactive and options.interactive
    attachment = Attachment(gives_input=gives_input, size=size_of(0) if options.tty else None)
    connection = house.engine.start(record.id, attachment)
    if connection is None:
        connection = house.engine.attach(record, gives_input=gives_input)
    keys = parse_detach_keys(arguments.detach_keys) if arguments.detach_keys is not None else DETACH
    ends = Ends(
        input=0 if gives_input else -1,
        raw=options.tty and os.isatty(0),
        detach_keys=keys if options.tty else b"",
    )
    outcome = relay(connection, ends)
    return 0 if outcome.exit_code is None else outcome.exit_code
