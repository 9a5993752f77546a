"""`estiba manifest inspect NAME`: the document that a registry has under a name, byte for byte or explained."""

from __future__ import annotations

import sys

from estiba.errors import NotThereYet
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House

_LATER = ("create", "annotate", "push", "rm")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", metavar="COMMAND", required=True)
    inspect = commands.add_parser("inspect", help="show a manifest or an index", allow_abbrev=False)
    inspect.add_argument("name", metavar="NAME[:TAG|@DIGEST]")
    inspect.add_argument("-v", "--verbose", action="store_true", help="with its descriptor, as Docker shows it")
    inspect.add_argument("--raw", action="store_true", help="the very bytes")
    for name in _LATER:
        commands.add_parser(name, help="not there yet").add_argument("names", nargs="*")


def run(args: argparse.Namespace, house: House) -> int:
    import json

    from estiba.oci.reference import Reference

    if args.action != "inspect":
        raise NotThereYet(
            f"estiba manifest {args.action} is not there yet",
            remedy="Estiba copies an index as it is: estiba copy NAME NAME.",
        )
    reference = Reference.parse(args.name).tagged
    document, digest = house.registries.manifest(reference)
    if args.raw:
        sys.stdout.buffer.write(document.raw)
        return 0
    value = json.loads(document.raw)
    if args.verbose:
        descriptor = {"mediaType": document.media_type, "digest": str(digest), "size": len(document.raw)}
        value = {"Ref": str(reference), "Descriptor": descriptor, "Manifest": value}
    print(json.dumps(value, indent=4, ensure_ascii=False))
    return 0
