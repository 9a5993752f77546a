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
    parser.epilog = _PLACES
    parser.add_argument("source", metavar="SRC")
    parser.add_argument("destination", metavar="DST")
    parser.add_argument("--platform", default="", metavar="OS/ARCH[/VARIANT]", help="one of an index; default: all")
    parser.add_argument("-q", "--quiet", action="store_true", help="print the digest only")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.transfers import Lines
    from estiba.cli.units import human_size
    from estiba.oci.platform import Platform
    from estiba.registry.client.copy.copy import Copier
    from estiba.registry.client.copy.places import parse_place
    from estiba.registry.client.progress import Silence

    copier = Copier(house.registries, lambda: house.store, house.temporary, Silence() if args.quiet else Lines())
    platform = Platform.parse(args.platform) if args.platform else None
    done = copier.copy(parse_place(args.source), parse_place(args.destination), platform=platform)
    if args.quiet:
        print(done.digest)
        return 0
    images = f"{done.images} images" if done.images != 1 else "1 image"
    print(f"Copied {images}: {human_size(done.bytes_sent)} travelled; digest: {done.digest}")
    return 0
