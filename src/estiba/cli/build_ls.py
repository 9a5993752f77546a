"""`estiba build ls`: the builds of which there is a record, the newest first."""

from __future__ import annotations

import time

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.builder.record import BuildRecord
    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="only IDs")
    parser.add_argument("--format", default="", help="table, json, 'table TEMPLATE' or a template")


def run(arguments: argparse.Namespace, house: House) -> int:
    from estiba.builder.record import BuildRecord
    from estiba.cli.format import Column, render

    records = [BuildRecord.read(each) for each in house.store.builds.all()]
    if arguments.quiet and not arguments.format:
        for record in records:
            print(record.id)
        return 0
    columns = [
        Column("BUILD ID", "ID"),
        Column("STATUS", "Status"),
        Column("CACHED", "Cached"),
        Column("CREATED", "CreatedSince"),
        Column("DURATION", "Duration"),
        Column("NAME", "Name"),
        Column("DOCKERFILE", "Dockerfile"),
    ]
    print(render([_row(record) for record in records], columns, form=arguments.format), end="")
    return 0


def _row(record: BuildRecord) -> dict[str, object]:
    from estiba.cli.build_record import counts, familiar
    from estiba.cli.units import human_duration, local_time

    return {
        "ID": record.id,
        "Status": record.status,
        "Cached": counts(record),
        "CreatedAt": local_time(record.started),
        "CreatedSince": human_duration(time.time() - record.started) + " ago",
        "Duration": f"{record.seconds:.1f}s",
        "Name": familiar(record)[0] if record.names else "<none>",
        "Image": record.image,
        "Target": record.target,
        "Platform": record.platform,
        "Error": record.error,
        "Dockerfile": record.dockerfile,
    }
