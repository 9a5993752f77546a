"""`estiba bootstrap`: a base image from the distribution's own packages, without any hub."""

from __future__ import annotations

import argparse
import sys

from estiba.oci.reference import Reference
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("distribution", metavar="DISTRO[:RELEASE]", help="debian:bookworm, or busybox")
    parser.add_argument("-t", "--tag", action="append", default=[], metavar="NAME", help="name it so instead")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only the image ID")


def run(arguments: argparse.Namespace, house: House) -> int:
    """Make the image; prints its ID."""
    from estiba.builder.bootstrap.make import bootstrap
    from estiba.builder.bootstrap.recipe import recipe

    chosen = recipe(arguments.distribution)
    names = tuple(Reference.parse(text).tagged for text in arguments.tag) or (chosen.name,)

    def say(line: bytes) -> None:
        if not arguments.quiet:
            sys.stderr.write(line.decode("utf-8", "replace"))
            sys.stderr.flush()

    made = bootstrap(
        house.store,
        chosen,
        platform=house.settings.platform,
        names=names,
        environment=house.settings.environment,
        say=say,
    )
    if not arguments.quiet:
        for name in names:
            print(f"named {name.familiar}: one layer {made.diff_id}, {made.size / 1e6:.1f} MB", file=sys.stderr)
    print(made.image_id)
    return 0
