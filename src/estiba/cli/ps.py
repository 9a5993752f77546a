"""`estiba ps`: the containers that there are."""

from __future__ import annotations

import time

from estiba.engine import lifecycle
from estiba.engine.status import shown_state as shown_state
from estiba.engine.status import status as status
from estiba.oci import json_text
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.engine.engine import Engine
    from estiba.engine.records import ContainerRecord
    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-a", "--all", action="store_true", help="also those that do not run")
    add("-f", "--filter", action="append", default=[], metavar="KEY=VALUE", help="only those that match")
    add("--format", default="", help="table, json, 'table TEMPLATE' or a template")
    add("-n", "--last", type=int, default=-1, metavar="NUMBER", help="the last ones that were made")
    add("-l", "--latest", action="store_true", help="the last one that was made")
    add("--no-trunc", action="store_true", help="whole ids and commands")
    add("-q", "--quiet", action="store_true", help="only ids")
    add("-s", "--size", action="store_true", help="with the size of their files")


def run(arguments: argparse.Namespace, house: House) -> int:
    from estiba.cli.format import Column, render

    engine = house.engine
    records = _chosen(engine, arguments)
    if arguments.quiet and not arguments.format:
        for record in records:
            print(record.id if arguments.no_trunc else record.id[:12])
        return 0
    rows = [_row(engine, record, whole=arguments.no_trunc, with_size=arguments.size) for record in records]
    columns = [
        Column("CONTAINER ID", "ID"),
        Column("IMAGE", "Image"),
        Column("COMMAND", "Command"),
        Column("CREATED", "RunningFor"),
        Column("STATUS", "Status"),
        Column("PORTS", "Ports"),
        Column("NAMES", "Names"),
    ]
    if arguments.size:
        columns.append(Column("SIZE", "Size"))
    headings = {"CreatedAt": "CREATED AT", "LocalVolumes": "LOCAL VOLUMES", "RunningFor": "CREATED"}
    print(render(rows, columns, form=arguments.format, headings=headings), end="")
    return 0


def _chosen(engine: Engine, arguments: argparse.Namespace) -> list[ContainerRecord]:
    records = engine.all()
    wants_all = arguments.all
    if arguments.filter:
        from estiba.engine.filters import Filters

        filters = Filters(engine, arguments.filter)
        wants_all = wants_all or filters.looks_at_states
        records = [record for record in records if filters.take(record)]
    last = 1 if arguments.latest else arguments.last
    if last > 0:
        return records[:last]
    visible = frozenset({lifecycle.RUNNING, lifecycle.PAUSED, lifecycle.RESTARTING})
    return records if wants_all else [record for record in records if record.state in visible]


def _row(engine: Engine, record: ContainerRecord, *, whole: bool, with_size: bool) -> dict[str, object]:
    from estiba.cli.units import human_duration, local_time

    process = json_text.loads(record.process, what="a container's process")
    networking = record.parsed_network()
    command = " ".join(process["args"])
    if not whole and len(command) > 20:
        command = command[:19] + "…"
    volumes = engine.containers.volumes_of(record.id)
    names = [name if whole or len(name) <= 15 else name[:14] + "…" for name, _ in volumes]
    row: dict[str, object] = {
        "ID": record.id if whole else record.id[:12],
        "Image": record.image,
        "Command": f'"{command}"',
        "CreatedAt": local_time(record.created),
        "RunningFor": human_duration(time.time() - record.created) + " ago",
        "Ports": ", ".join(_ports(networking.ports, process["exposed_ports"])),
        "Status": status(record, now=time.time(), health=_health(engine, record)),
        "State": shown_state(record),
        "Names": record.name,
        "Labels": ",".join(f"{name}={value}" for name, value in process["labels"]),
        "Mounts": ",".join(names),
        "LocalVolumes": str(len(names)),
        "Networks": networking.network
        or json_text.loads(record.options, what="a container's options").get("network", "bridge"),
        "Size": "0B",
    }
    if with_size:
        from estiba.cli.units import human_size
        from estiba.engine.removal import size_of_files

        row["Size"] = human_size(size_of_files(engine.store, record.id))
    return row


def _health(engine: Engine, record: ContainerRecord) -> str:
    if record.state != lifecycle.RUNNING or '"health"' not in record.options:
        return ""
    from estiba.engine.health_file import status_of

    return status_of(engine, record)


def _ports(published: tuple[tuple[str, str], ...], exposed: list[str]) -> list[str]:
    known = {inside for inside, _ in published}
    shown = [f"{outside}->{inside}" for inside, outside in published]
    return shown + [port if "/" in port else f"{port}/tcp" for port in exposed if port not in known]
