"""`estiba daemon`: serve the Docker Engine API, for Docker's own tools."""

from __future__ import annotations

import sys

from estiba.errors import InvalidInput
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-H",
        "--host",
        action="append",
        default=[],
        metavar="unix://PATH|tcp://HOST:PORT",
        help="where to listen; may be repeated (default: estiba.sock in the run directory)",
    )
    parser.add_argument(
        "--tlscacert", default="", metavar="FILE", help="let in only clients that this authority signed"
    )
    parser.add_argument("--tlscert", default="", metavar="FILE", help="the certificate of tcp:// (PEM)")
    parser.add_argument("--tlskey", default="", metavar="FILE", help="its private key (PEM)")


def run(arguments: argparse.Namespace, house: House) -> int:
    from estiba.docker_api.serve import Tls, check_exposure, parse_host, serve
    from estiba.wiring.daemon import daemon_backends

    given = (arguments.tlscacert, arguments.tlscert, arguments.tlskey)
    if any(given) and not all(given):
        raise InvalidInput("--tlscacert, --tlscert and --tlskey belong together", remedy="Give all three, or none.")
    tls = Tls(arguments.tlscert, arguments.tlskey, arguments.tlscacert) if all(given) else None
    hosts = arguments.host or [f"unix://{house.settings.run}/estiba.sock"]
    addresses = [parse_host(text) for text in hosts]
    for warning in check_exposure(addresses, tls):
        print(f"warning: {warning}", file=sys.stderr, flush=True)
    serve(daemon_backends(house), addresses, tls, announce=_announce)
    return 0


def _announce(url: str) -> None:
    told = url if url.startswith("unix://") else "tcp://" + url.partition("://")[2]
    print(f"listening on {told}", flush=True)
