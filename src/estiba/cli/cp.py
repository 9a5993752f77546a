"""`estiba cp`: copy files between a container and the host."""

from __future__ import annotations

import os
import sys

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--archive", action="store_true", help="keep users and groups")
    parser.add_argument("-L", "--follow-link", action="store_true", help="copy what a link as SOURCE leads to")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing when it is done")
    parser.add_argument("source", metavar="SOURCE", help="CONTAINER:PATH, a path of the host, or -: a tar")
    parser.add_argument("target", metavar="TARGET", help="the same")


def run(arguments: argparse.Namespace, house: House) -> int:
    from estiba.cli.units import human_size
    from estiba.engine.copying.copy import copy
    from estiba.engine.copying.plan import parse_place

    source, target = parse_place(arguments.source), parse_place(arguments.target)
    sys.stdout.flush()
    done = copy(house.engine, source, target, follows=arguments.follow_link, keeps_owners=arguments.archive)
    if done.left_out:
        print(f"estiba: not made on the host: {', '.join(done.left_out)} (-a makes them)", file=sys.stderr)
    if not arguments.quiet and os.isatty(1) and "-" not in (source.path, target.path):
        print(f"Successfully copied {human_size(done.size)} to {target}", file=sys.stderr)
    return 0
