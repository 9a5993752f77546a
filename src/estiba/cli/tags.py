"""`estiba tags NAME`: the tags of a repository in its registry."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="[REGISTRY/]REPOSITORY")
    parser.add_argument("--json", action="store_true", help="a JSON list")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.lists import show
    from estiba.oci.reference import Reference

    show(house.registries.tags(Reference.parse(args.name)), as_json=args.json)
    return 0
