"""`estiba digest NAME`: the digest that a name has in its registry now; nothing is fetched."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME[:TAG]")
    parser.add_argument("--full", action="store_true", help="the name with the digest, which never means another image")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.oci.reference import Reference

    reference = Reference.parse(args.name).tagged
    digest = house.registries.digest(reference)
    print(f"{reference.name}@{digest}" if args.full else digest)
    return 0
