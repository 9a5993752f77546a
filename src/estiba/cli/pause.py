"""`estiba pause`: stop every process of containers."""

from __future__ import annotations

from estiba.cli.each import for_each
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("containers", nargs="+", metavar="CONTAINER")


def run(arguments: argparse.Namespace, house: House) -> int:
    from estiba.engine.pausing import pause

    def act(name: str) -> str:
        pause(house.engine, name)
        return name

    return for_each(arguments.containers, act)
