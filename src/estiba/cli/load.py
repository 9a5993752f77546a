"""`estiba load`: images out of an archive, or out of an OCI layout directory."""

from __future__ import annotations

import os
import sys

from estiba.errors import InvalidInput, NotFound
from estiba.oci.platform import Platform
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from typing import BinaryIO

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from estiba.cli.transfers import add_progress

    parser.add_argument(
        "-i", "--input", default="", metavar="FILE", help="an archive, or a layout's directory; else standard input"
    )
    add_progress(parser)
    parser.add_argument("--platform", default="", metavar="OS/ARCH", help="which image of a set to take")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.transfers import shown
    from estiba.image.archive.load import load, load_layout

    platform = Platform.parse(args.platform) if args.platform else house.settings.platform
    with shown(args, by_default="quiet") as progress:
        if args.input and os.path.isdir(args.input):
            loaded = load_layout(house.store, args.input, platform=platform, progress=progress)
        else:
            stream, where = _stream(args.input)
            loaded = load(house.store, stream, where=where, platform=platform, progress=progress)
        for image in loaded:
            for name in image.names:
                progress.result(f"Loaded image: {name.familiar}", name=str(name), id=str(image.record.id))
            if not image.names:
                progress.result(f"Loaded image ID: {image.record.id}", id=str(image.record.id))
    return 0


def _stream(path: str) -> tuple[BinaryIO, str]:
    if path and path != "-":
        try:
            return open(path, "rb"), path
        except OSError as error:
            raise NotFound(f"{path}: {error.strerror}", remedy="Name an archive with -i FILE.") from error
    if sys.stdin.isatty():
        raise InvalidInput("no archive is given", remedy="Name one with -i FILE, or send one to standard input.")
    return open(os.dup(sys.stdin.fileno()), "rb"), "standard input"
