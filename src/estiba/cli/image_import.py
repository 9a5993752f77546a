"""`estiba import FILE|- [NAME]`: an image from a tar of files."""

from __future__ import annotations

import sys

from estiba.errors import NotFound, NotThereYet
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE|-", help="a tar, plain, gzip or zstd; -: standard input")
    parser.add_argument("name", nargs="?", default="", metavar="NAME[:TAG]")
    parser.add_argument("-m", "--message", default="", metavar="TEXT", help="a comment for the history")
    parser.add_argument("-c", "--change", action="append", default=[], metavar="INSTRUCTION", help="not there yet")
    parser.add_argument("--platform", default="", metavar="OS/ARCH[/VARIANT]", help="default: this machine's")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.image.importing import import_tar
    from estiba.oci.platform import Platform
    from estiba.oci.reference import Reference

    if args.change:
        raise NotThereYet(
            "import --change is not there yet", remedy="Write a Dockerfile: FROM the imported image, then the change."
        )
    if args.file.startswith(("http://", "https://")):
        raise NotThereYet("importing from a URL is not there yet", remedy=f"curl -L {args.file} | estiba import -")
    name = Reference.parse(args.name).tagged if args.name else None
    platform = Platform.parse(args.platform) if args.platform else house.settings.platform
    try:
        stream = sys.stdin.buffer if args.file == "-" else open(args.file, "rb")
    except OSError as error:
        raise NotFound(f"cannot read {args.file}: {error.strerror}") from error
    with stream:
        record = import_tar(house.store, stream, platform=platform, message=args.message)
    if name is not None:
        house.store.references.set(name, record.id)
    print(record.id)
    return 0
