"""`estiba run`: make a container, start it, and stay with it until it ends, unless `-d`."""

from __future__ import annotations

from estiba.cli.container_flags import add_container_arguments
from estiba.engine.launch import PendingMonitor
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_container_arguments(parser)
    parser.add_argument("-d", "--detach", action="store_true", help="leave it in the background and print its id")
    parser.add_argument("--detach-keys", metavar="KEYS", help="keys that leave the container (ctrl-p,ctrl-q)")
    parser.add_argument("--sig-proxy", action="store_true", default=True, help="pass signals on (default: true)")


def run(arguments: argparse.Namespace, house: House) -> int:
    """Gives the container's exit code; 0 for a detached one."""
    with PendingMonitor(house.settings.run) as pending:
        # The rest is loaded while the monitor loads what it needs: two processors, half the wait.
        from estiba.cli.running import run_container

        return run_container(arguments, house, pending)
