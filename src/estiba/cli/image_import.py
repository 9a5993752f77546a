"""`estiba import FILE|URL|- [NAME]`: an image from a tar of files."""

from __future__ import annotations

import sys
from contextlib import contextmanager

from estiba.errors import NotFound
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import BinaryIO

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE|URL|-", help="a tar, plain, gzip or zstd; -: standard input")
    parser.add_argument("name", nargs="?", default="", metavar="NAME[:TAG]")
    parser.add_argument("-m", "--message", default="", metavar="TEXT", help="a comment for the history")
    parser.add_argument(
        "-c",
        "--change",
        action="append",
        default=[],
        metavar="INSTRUCTION",
        help="such as 'CMD [\"/app\"]': an instruction of a Dockerfile that changes no file",
    )
    parser.add_argument("--platform", default="", metavar="OS/ARCH[/VARIANT]", help="default: this machine's")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.dockerfile.changes import apply_changes
    from estiba.image.importing import import_tar
    from estiba.oci.platform import Platform
    from estiba.oci.reference import Reference

    name = Reference.parse(args.name).tagged if args.name else None
    platform = Platform.parse(args.platform) if args.platform else house.settings.platform
    config = apply_changes(args.change, platform=platform)
    with _opened(args.file, house) as stream:
        record = import_tar(house.store, stream, platform=platform, run=config, message=args.message)
    if name is not None:
        house.store.references.set(name, record.id)
    print(record.id)
    return 0


@contextmanager
def _opened(place: str, house: House) -> Iterator[BinaryIO]:
    if place.startswith(("http://", "https://")):
        from estiba import __version__
        from estiba.web.fetch import fetched

        with fetched(place, proxies=house.routes.proxies, agent=f"estiba/{__version__}") as stream:
            yield stream
        return
    try:
        file = sys.stdin.buffer if place == "-" else open(place, "rb")
    except OSError as error:
        raise NotFound(f"cannot read {place}: {error.strerror}") from error
    with file:
        yield file
