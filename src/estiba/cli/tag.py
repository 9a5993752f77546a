"""`estiba tag`: a further name for an image."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE[:TAG]", help="an image's name or ID")
    parser.add_argument("target", metavar="TARGET[:TAG]", help="the further name")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.errors import InvalidInput
    from estiba.oci.reference import Reference

    name = Reference.parse(args.target).tagged
    if name.digest is not None:
        raise InvalidInput(f"{args.target!r} has a digest", remedy="Name a tag: a digest follows from the content.")
    store = house.store
    with store.database.transaction():
        store.references.set(name, store.images.find(args.source).id)
    return 0
