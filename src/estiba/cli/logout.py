"""`estiba logout [REGISTRY]`: forget credentials."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("registry", nargs="?", default="", metavar="REGISTRY", help="default: Docker Hub")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.registry.client.credentials import CredentialFile
    from estiba.registry.client.login import logout, registry_named

    registry = registry_named(args.registry)
    logout(registry, file=CredentialFile(house.settings.credentials))
    print(f"Removing login credentials for {registry}")
    return 0
