"""`estiba attach`: get a running container's output, and give it input, until it ends."""

from __future__ import annotations

import os

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-stdin", action="store_true", help="give it no input")
    parser.add_argument("--sig-proxy", action="store_true", default=True, help="pass signals on (default: true)")
    parser.add_argument("--detach-keys", metavar="KEYS", help="keys that leave it (ctrl-p,ctrl-q)")
    parser.add_argument("container", metavar="CONTAINER")


def run(arguments: argparse.Namespace, house: House) -> int:
    """Gives the container's exit code; 0 when the user leaves it."""
    from estiba.engine.relay import Ends, relay
    from estiba.engine.terminal import DETACH, parse_detach_keys

    record = house.engine.find(arguments.container)
    options = record.parsed_options()
    gives_input = options.interactive and not arguments.no_stdin
    keys = parse_detach_keys(arguments.detach_keys) if arguments.detach_keys is not None else DETACH
    ends = Ends(
        input=0 if gives_input else -1,
        raw=options.tty and gives_input and os.isatty(0),
        detach_keys=keys if options.tty else b"",
        passes_signals=arguments.sig_proxy,
    )
    outcome = relay(house.engine.attach(record, gives_input=gives_input), ends)
    return 0 if outcome.exit_code is None else outcome.exit_code
