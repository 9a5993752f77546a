"""`estiba build show`: one build with all its steps, and why each was run or was not."""

from __future__ import annotations

import sys

from estiba.cli.printable import printable, printable_json
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.builder.record import BuildRecord
    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("build", nargs="?", default="", metavar="ID", help="the build, or how its ID begins (the last)")
    parser.add_argument("--format", default="", choices=("", "json"), help="json: the whole record")


def run(arguments: argparse.Namespace, house: House) -> int:
    from estiba.cli.build_record import explain, find

    record = find(arguments.build, house.store.builds)
    if arguments.format == "json":
        print(printable_json({"id": record.id, "dockerfile": record.dockerfile, **record.to_json()}, indent=2))
        return 0
    _head(record)
    print()
    explain(record, sys.stdout)
    return 0


def _head(record: BuildRecord) -> None:
    from estiba.cli.build_record import counts, familiar
    from estiba.cli.units import local_time

    rows = [
        ("Build", record.id),
        ("Dockerfile", record.dockerfile),
        ("Target", record.target),
        ("Platform", record.platform),
        ("Started", local_time(record.started)),
        ("Duration", f"{record.seconds:.1f}s"),
        ("Cached", f"{counts(record)} steps"),
        ("Status", record.status),
        ("Error", record.error),
        ("Image", record.image),
        ("Names", ", ".join(familiar(record))),
    ]
    for name, value in rows:
        if value:
            print(f"{name + ':':<12}{printable(value)}")
