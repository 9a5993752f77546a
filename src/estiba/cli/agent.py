"""`estiba agent serve`: hear of new versions, build them, push them, and update what runs."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="serve", required=True)
    serve = actions.add_parser("serve", help="serve webhooks until SIGTERM", allow_abbrev=False)
    serve.add_argument("--listen", default="127.0.0.1:8080", metavar="HOST:PORT", help="port 0 is any free one")
    serve.add_argument("--config", required=True, metavar="FILE", help="which repositories to watch (TOML)")


def run(arguments: argparse.Namespace, house: House) -> int:
    """Serve until a signal; gives 0."""
    from estiba.agent.serve import serve
    from estiba.cli.build_progress import PlainProgress
    from estiba.web.listen import Address
    from estiba.wiring.agent import agent_work, read_config

    config = read_config(arguments.config)
    directory = house.store.paths.agent
    serve(
        config,
        listen=Address.parse(arguments.listen),
        directory=directory,
        work=agent_work(house, directory=directory, progress=PlainProgress),
        announce=lambda url: print(f"listening on {url}", flush=True),
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    return 0
