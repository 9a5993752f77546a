"""`estiba rm`: remove containers."""

from __future__ import annotations

from estiba.cli.each import for_each
from estiba.errors import NotFound
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--force", action="store_true", help="kill it first if it runs")
    parser.add_argument("-v", "--volumes", action="store_true", help="with its anonymous volumes")
    parser.add_argument("containers", nargs="+", metavar="CONTAINER")


def run(arguments: argparse.Namespace, house: House) -> int:
    def remove(name: str) -> str | None:
        try:
            house.engine.remove(name, force=arguments.force, volumes=arguments.volumes)
        except NotFound:
            if not arguments.force:
                raise
            return None
        return name

    return for_each(arguments.containers, remove)
