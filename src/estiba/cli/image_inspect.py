"""`estiba image inspect`: all about images, as JSON or by a template."""

from __future__ import annotations

from estiba.cli.inspect import add_format, images, show
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="IMAGE", help="a name or an ID")
    add_format(parser)


def run(args: argparse.Namespace, house: House) -> int:
    return show(args.names, [images(house)], form=args.format, what="image")
