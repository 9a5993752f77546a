"""`estiba system …`: `df` and `prune` under the names that they have in Docker."""

from __future__ import annotations

from importlib import import_module

from estiba.cli.commands import MACHINE, NOT_THERE_YET
from estiba.errors import NotThereYet
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House

_SHARED = ("df", "prune")


def member(name: str) -> tuple[str, str] | None:
    """The module and the summary of a command of the group.

    Raises:
        NotThereYet: Docker has it, and Estiba does not have it yet.
    """
    if name in NOT_THERE_YET:
        raise NotThereYet(f"estiba system {name} is not there yet", remedy="See `estiba system --help`.")
    return (name, MACHINE[name].summary) if name in _SHARED else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", metavar="COMMAND", required=True)
    for name in _SHARED:
        child = commands.add_parser(name, help=f"see `estiba {name}`", allow_abbrev=False)
        import_module(f"estiba.cli.{name}").add_arguments(child)


def run(arguments: argparse.Namespace, house: House) -> int:
    status: int = import_module(f"estiba.cli.{arguments.action}").run(arguments, house)
    return status
