"""`estiba save`: images into an archive."""

from __future__ import annotations

import sys

from estiba.errors import InvalidInput
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.oci.digest import Digest
    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from estiba.cli.transfers import add_progress

    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a name or an ID")
    parser.add_argument("-o", "--output", default="", metavar="FILE", help="write to this file, not to standard output")
    parser.add_argument(
        "--format",
        default="docker",
        choices=("docker", "docker-archive", "oci", "oci-archive"),
        help="docker (which is an OCI layout too) or oci",
    )
    parser.add_argument("--platform", default="", metavar="OS/ARCH[/VARIANT]", help="refuse images for another one")
    add_progress(parser)


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.transfers import shown
    from estiba.image.archive import save

    form = args.format.removesuffix("-archive")
    images = save.choose(house.store, args.images)
    if args.platform:
        _check_platform(house, [image for image, _ in images], args.platform)
    if args.output and args.output != "-":
        with shown(args, to_errors=True, by_default="quiet") as progress:
            save.save_to_file(house.store, images, args.output, form=form, progress=progress)
        return 0
    if sys.stdout.isatty():
        raise InvalidInput(
            "an archive is not written to a terminal", remedy="Name a file with -o FILE, or redirect the output."
        )
    sys.stdout.flush()
    with (
        shown(args, to_errors=True, by_default="quiet") as progress,
        open(sys.stdout.fileno(), "wb", buffering=1 << 20, closefd=False) as out,
    ):
        save.save(house.store, images, out, form=form, progress=progress)
    return 0


def _check_platform(house: House, images: list[Digest], text: str) -> None:
    """An image of the store is for one platform: it is that one, or there is nothing to save."""
    from estiba.errors import NotFound
    from estiba.oci.platform import Platform

    wanted = Platform.parse(text)
    for image in images:
        found = house.store.images.config(image).platform
        if found.plain != wanted.plain:
            raise NotFound(f"image {image.short} is for {found}, not for {wanted}", remedy="Pull it with --platform.")
