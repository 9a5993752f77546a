"""`estiba restart`: stop containers and start them again."""

from __future__ import annotations

from estiba.cli.each import for_each
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-t", "--time", "--timeout", type=int, metavar="SECONDS", help="until it is killed (10)")
    parser.add_argument("-s", "--signal", default="", help="instead of the container's own stop signal")
    parser.add_argument("containers", nargs="+", metavar="CONTAINER")


def run(arguments: argparse.Namespace, house: House) -> int:
    def restart(name: str) -> str:
        house.engine.stop(name, timeout=arguments.time, signal=arguments.signal)
        connection = house.engine.start(name)
        if connection is not None:
            connection.close()
        return name

    return for_each(arguments.containers, restart)
