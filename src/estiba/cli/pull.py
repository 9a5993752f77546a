"""`estiba pull NAME[:TAG|@DIGEST]`: fetch an image from a registry."""

from __future__ import annotations

from estiba.cli.parser import SUPPRESS
from estiba.errors import InvalidInput
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.cli.transfers import Quiet
    from estiba.oci.reference import Reference
    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from estiba.cli.transfers import add_progress

    parser.add_argument("name", metavar="NAME[:TAG|@DIGEST]")
    add_progress(parser)
    parser.add_argument("--disable-content-trust", action="store_true", help=SUPPRESS)  # Docker's, and its default
    parser.add_argument("--platform", default="", metavar="OS/ARCH[/VARIANT]", help="default: this machine's")
    parser.add_argument("-a", "--all-tags", action="store_true", help="every tag of the repository")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.transfers import shown
    from estiba.oci.platform import Platform
    from estiba.oci.reference import Reference
    from estiba.registry.client.pull import pull

    platform = Platform.parse(args.platform) if args.platform else house.settings.platform
    with shown(args) as progress:
        for reference in _wanted(args, house, Reference.parse(args.name), progress):
            record = pull(
                house.store,
                reference,
                platform=platform,
                credentials=house.credentials,
                progress=progress,
                routes=house.routes,
            )
            progress.result(str(reference), name=str(reference), id=str(record.id), manifest=str(record.manifest))
    return 0


def _wanted(args: argparse.Namespace, house: House, written: Reference, progress: Quiet) -> tuple[Reference, ...]:
    """The one that was named, or every tag of its repository."""
    if not args.all_tags:
        if written.tagged != written:
            progress.line("Using default tag: latest")
        return (written.tagged,)
    if written.tag or written.digest:
        raise InvalidInput("--all-tags takes a name without a tag", remedy=f"Write {written.familiar_name}.")
    return tuple(written._replace(tag=tag) for tag in house.registries.tags(written))
