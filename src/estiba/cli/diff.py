"""`estiba diff`: what a container has changed of its image's files."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("container", metavar="CONTAINER")


def run(arguments: argparse.Namespace, house: House) -> int:
    from estiba.cli.printable import printable
    from estiba.engine.changes import changes

    for change in changes(house.engine, arguments.container):
        print(change.kind, printable(change.path))
    return 0
