"""`estiba image export IMAGE`: the files of an image as one flat tar."""

from __future__ import annotations

import sys

from estiba.errors import InvalidInput
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a name or an ID")
    parser.add_argument("-o", "--output", default="", metavar="FILE", help="default: standard output")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.image.exporting import export_tar
    from estiba.image.image import find
    from estiba.linux.whole_files import WholeFile

    image = find(house.store, args.image)
    if not args.output:
        if sys.stdout.isatty():
            raise InvalidInput("a tar is nothing for a terminal", remedy="Name a file with -o FILE, or use a pipe.")
        export_tar(house.store, image, sys.stdout.buffer)
        return 0
    with WholeFile(args.output) as out:
        export_tar(house.store, image, out)
    return 0
