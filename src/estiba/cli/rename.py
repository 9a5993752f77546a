"""`estiba rename`: give a container another name."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("name", metavar="NAME")


def run(arguments: argparse.Namespace, house: House) -> int:
    house.engine.rename(arguments.container, arguments.name)
    return 0
