"""`estiba top`: the processes of a container."""

from __future__ import annotations

from estiba.cli.parser import REMAINDER
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("arguments", nargs=REMAINDER, metavar="PS ARGUMENTS", help="as for ps (-ef)")


def run(arguments: argparse.Namespace, house: House) -> int:
    from estiba.cli.printable import printable
    from estiba.engine.processes import list_processes

    for line in list_processes(house.engine.find(arguments.container), arguments.arguments):
        print(printable(line))  # a process names itself as it likes
    return 0
