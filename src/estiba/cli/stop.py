"""`estiba stop`: ask containers to end, and kill those that do not."""

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
    def stop(name: str) -> str:
        house.engine.stop(name, timeout=arguments.time, signal=arguments.signal)
        return name

    return for_each(arguments.containers, stop)
