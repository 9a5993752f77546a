"""`estiba port`: where a container's published ports are on this machine."""

from __future__ import annotations

from estiba.errors import NotFound
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("port", nargs="?", metavar="PORT[/PROTOCOL]", help="only this port")


def run(arguments: argparse.Namespace, house: House) -> int:
    record = house.engine.find(arguments.container)
    ports = record.parsed_network().ports
    if arguments.port is None:
        for inside, outside in ports:
            print(f"{inside} -> {outside}")
        return 0
    wanted = arguments.port if "/" in arguments.port else f"{arguments.port}/tcp"
    found = [outside for inside, outside in ports if inside == wanted]
    if not found:
        raise NotFound(f"no public port {wanted!r} published for {record.name}")
    print("\n".join(found))
    return 0
