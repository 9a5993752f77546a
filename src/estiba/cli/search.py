"""`estiba search REGISTRY/WORD`: the repositories of a registry with a word in their names."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("word", metavar="REGISTRY/WORD", help="the registry must tell its catalog")
    parser.add_argument("--limit", type=int, default=25, metavar="NUMBER", help="at most so many (25)")
    parser.add_argument("--format", default="", help="table, json, 'table TEMPLATE' or a template")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.format import Column, render
    from estiba.errors import InvalidInput
    from estiba.registry.client.search import found, parse_search

    if args.limit < 1:
        raise InvalidInput(f"--limit {args.limit} finds nothing", remedy="Give a number such as 25.")
    search = parse_search(args.word)
    names = found(search, house.registries.repositories(search.registry), most=args.limit)
    # What Docker Hub tells besides, the catalog of a registry does not.
    rows = [{"Name": name, "Description": "", "StarCount": "0", "IsOfficial": ""} for name in names]
    print(render(rows, [Column("NAME", "Name")], form=args.format), end="")
    return 0
