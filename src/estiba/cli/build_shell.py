"""`estiba build shell`: a shell in the files of a step of a build that is over."""

from __future__ import annotations

import sys

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("build", nargs="?", default="", metavar="ID", help="the build, or how its ID begins (the last)")
    parser.add_argument(
        "line",
        nargs="?",
        default=0,
        type=int,
        metavar="LINE",
        help="of the step in the Dockerfile (the failed, else the last)",
    )


def run(arguments: argparse.Namespace, house: House) -> int:
    from estiba.builder.looking import choose, look_into
    from estiba.cli.build_record import find
    from estiba.engine.terminal import require_terminal

    step = choose(find(arguments.build, house.store.builds), arguments.line)
    require_terminal(0)
    require_terminal(1)
    when = "before it failed" if step.state == "failed" else "after it"
    print(f"This is a shell in the files {when}: {step.name}; what is changed here is dropped.", file=sys.stderr)
    sys.stderr.flush()
    terminal = house.settings.environment.get("TERM", "dumb")
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    look_into(step, store=house.store, surroundings=house.build_surroundings, variables=(f"TERM={terminal}", path))
    return 0
