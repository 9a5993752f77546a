"""`estiba kill`: send containers a signal."""

from __future__ import annotations

from estiba.cli.each import for_each
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-s", "--signal", default="KILL", help="name or number (KILL)")
    parser.add_argument("containers", nargs="+", metavar="CONTAINER")


def run(arguments: argparse.Namespace, house: House) -> int:
    def kill(name: str) -> str:
        house.engine.kill(name, signal=arguments.signal)
        return name

    return for_each(arguments.containers, kill)
