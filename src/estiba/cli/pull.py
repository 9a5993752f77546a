"""`estiba pull NAME[:TAG|@DIGEST]`: fetch an image from a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from estiba.errors import NotThereYet

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME[:TAG|@DIGEST]")
    parser.add_argument("-q", "--quiet", action="store_true", help="print the image's name only")
    parser.add_argument("--platform", default="", metavar="OS/ARCH[/VARIANT]", help="default: this machine's")
    parser.add_argument("-a", "--all-tags", action="store_true", help="not there yet")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.transfers import Lines
    from estiba.oci.platform import Platform
    from estiba.oci.reference import Reference
    from estiba.registry.client.credentials import CredentialFile
    from estiba.registry.client.progress import Silence
    from estiba.registry.client.pull import pull

    if args.all_tags:
        raise NotThereYet("pull --all-tags is not there yet", remedy="Pull the tags one by one.")
    written = Reference.parse(args.name)
    reference = written.tagged
    if reference != written and not args.quiet:
        print("Using default tag: latest")
    pull(
        house.store,
        reference,
        platform=Platform.parse(args.platform) if args.platform else house.settings.platform,
        credentials=CredentialFile(house.settings.credentials),
        progress=Silence() if args.quiet else Lines(),
    )
    print(str(reference))
    return 0
