"""`estiba login [REGISTRY]`: try credentials out and keep them where Docker's tools find them."""

from __future__ import annotations

import sys

from estiba.errors import InvalidInput
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("registry", nargs="?", default="", metavar="REGISTRY", help="default: Docker Hub")
    parser.add_argument("-u", "--username", default="", metavar="USER")
    parser.add_argument("-p", "--password", default="", metavar="PASSWORD", help="visible to others: prefer stdin")
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    parser.add_argument(
        "--azure",
        action="store_true",
        help="Azure Container Registry: standard input gives a token of Microsoft Entra, changed for the registry's",
    )
    parser.add_argument("--tenant", default="", metavar="ID", help="with --azure, where the token does not tell it")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.registry.client.aws import EcrRegistry
    from estiba.registry.client.login import login, login_to_ecr, registry_named

    if args.azure:
        return _login_to_azure(args, house)
    if not args.username and EcrRegistry.parse(args.registry):
        login_to_ecr(args.registry, routes=house.routes)
        print("Login Succeeded (nothing is kept: each command asks AWS for a password)")
        return 0
    if args.password and args.password_stdin:
        raise InvalidInput("--password and --password-stdin exclude each other", remedy="Give one of them.")
    if args.password_stdin and not args.username:
        raise InvalidInput("--password-stdin needs --username", remedy="Add -u USER.")
    if args.password:
        print("Warning: a password on the command line is seen by others; use --password-stdin", file=sys.stderr)
    user = args.username or _ask("Username: ")
    password = args.password or (sys.stdin.read().rstrip("\r\n") if args.password_stdin else _ask_secretly())
    if not user or not password:
        raise InvalidInput("a user and a password are needed", remedy="Give -u USER and --password-stdin.")
    where = login(
        registry_named(args.registry), user=user, password=password, file=house.credentials, routes=house.routes
    )
    print(f"Login Succeeded (kept in {where})")
    return 0


def _login_to_azure(args: argparse.Namespace, house: House) -> int:
    from estiba.registry.client.login import login_to_azure, registry_named

    token = "" if sys.stdin.isatty() else sys.stdin.read().strip()
    if not args.registry or not token:
        raise InvalidInput(
            "--azure needs a registry, and a token on standard input",
            remedy="az account get-access-token --query accessToken -o tsv | estiba login --azure NAME.azurecr.io",
        )
    where = login_to_azure(
        registry_named(args.registry),
        access_token=token,
        tenant=args.tenant,
        file=house.credentials,
        routes=house.routes,
    )
    print(f"Login Succeeded (kept in {where})")
    return 0


def _ask(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise InvalidInput("there is no terminal to ask on", remedy="Give -u USER and --password-stdin.")
    return input(prompt)


def _ask_secretly() -> str:
    from getpass import getpass

    if not sys.stdin.isatty():
        raise InvalidInput("there is no terminal to ask on", remedy="Give --password-stdin.")
    return getpass()
