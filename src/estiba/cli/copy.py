"""`estiba copy SRC DST`: an image from one place to another, byte for byte, without unpacking it."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House

_PLACES = (
    "Places: NAME[:TAG|@DIGEST] or docker://NAME, a registry; oci:DIRECTORY[:NAME], an OCI image layout;"
    " oci-archive:FILE[:NAME]; docker-archive:FILE[:NAME]; store:NAME, an image of Estiba's own store, as a source."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from estiba.cli.transfers import add_progress

    parser.epilog = _PLACES
    parser.add_argument("source", metavar="SRC")
    parser.add_argument("destination", metavar="DST")
    parser.add_argument("--platform", default="", metavar="OS/ARCH[/VARIANT]", help="one of an index; default: all")
    add_progress(parser)


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.transfers import shown
    from estiba.cli.units import human_size
    from estiba.oci.platform import Platform
    from estiba.registry.client.copy.copy import Copier
    from estiba.registry.client.copy.places import parse_place

    platform = Platform.parse(args.platform) if args.platform else None
    with shown(args) as progress:
        copier = Copier(house.registries, lambda: house.store, house.temporary, progress)
        done = copier.copy(parse_place(args.source), parse_place(args.destination), platform=platform)
        images = f"{done.images} images" if done.images != 1 else "1 image"
        told = f"Copied {images}: {human_size(done.bytes_sent)} travelled; digest: {done.digest}"
        progress.result(
            str(done.digest) if progress.is_quiet else told,
            digest=str(done.digest),
            images=done.images,
            blobs=done.blobs,
            bytes_sent=done.bytes_sent,
        )
    return 0
