"""`estiba export CONTAINER`: the files of a container as one tar."""

from __future__ import annotations

import sys

from estiba.errors import InvalidInput
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("-o", "--output", default="", metavar="FILE", help="default: standard output")


def run(arguments: argparse.Namespace, house: House) -> int:
    from estiba.engine.copying.export import export
    from estiba.linux.whole_files import WholeFile

    if not arguments.output:
        if sys.stdout.isatty():
            raise InvalidInput("a tar is nothing for a terminal", remedy="Name a file with -o FILE, or use a pipe.")
        sys.stdout.flush()
        export(house.engine, arguments.container, sys.stdout.fileno())
        return 0
    with WholeFile(arguments.output, mode=0o600) as out:  # all of a container's files are in it
        export(house.engine, arguments.container, out.fileno())
    return 0
