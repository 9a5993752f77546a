"""`estiba create`: make a container without starting it."""

from __future__ import annotations

from estiba.cli.container_flags import add_container_arguments, container_options
from estiba.cli.running import CidFile, find_image
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_container_arguments(parser)


def run(arguments: argparse.Namespace, house: House) -> int:
    options = container_options(arguments, house.settings.environment)
    with CidFile(arguments.cidfile) as cidfile:
        record = house.engine.create(options, find_image(arguments, options, house))
        cidfile.write(record.id)
    print(record.id)
    return 0
