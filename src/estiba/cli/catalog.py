"""`estiba catalog REGISTRY`: the repositories of a registry, where it tells them."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("registry", metavar="REGISTRY", help="HOST or HOST:PORT")
    parser.add_argument("--json", action="store_true", help="a JSON list")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.lists import show
    from estiba.registry.client.login import registry_named

    show(house.registries.repositories(registry_named(args.registry)), as_json=args.json)
    return 0
