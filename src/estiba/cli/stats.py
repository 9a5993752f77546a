"""`estiba stats`: what containers use, once or as it goes on."""

from __future__ import annotations

import sys
import time

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.engine.engine import Engine
    from estiba.engine.records import ContainerRecord
    from estiba.engine.statistics import Usage
    from estiba.wiring.house import House

_BETWEEN = 0.5  # seconds between the two looks that a share of the processor takes
_PAUSE = 1.0
_FROM_THE_TOP = "\033[2J\033[H"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("containers", nargs="*", metavar="CONTAINER", help="only these (those that run)")
    add("-a", "--all", action="store_true", help="also those that do not run")
    add("--format", default="", help="table, json, 'table TEMPLATE' or a template")
    add("--no-stream", action="store_true", help="once, and end")
    add("--no-trunc", action="store_true", help="whole ids")


def run(arguments: argparse.Namespace, house: House) -> int:
    from estiba.cli.format import Column, render
    from estiba.engine.statistics import measure

    engine = house.engine
    columns = [
        Column("CONTAINER ID", "ID"),
        Column("NAME", "Name"),
        Column("CPU %", "CPUPerc"),
        Column("MEM USAGE / LIMIT", "MemUsage"),
        Column("MEM %", "MemPerc"),
        Column("NET I/O", "NetIO"),
        Column("BLOCK I/O", "BlockIO"),
        Column("PIDS", "PIDs"),
    ]
    before = {record.id: measure(record) for record in _chosen(engine, arguments)}
    pause = _BETWEEN
    while True:
        time.sleep(pause)
        records = _chosen(engine, arguments)
        now = {record.id: measure(record) for record in records}
        rows = [_row(record, before.get(record.id), now[record.id], whole=arguments.no_trunc) for record in records]
        text = render(rows, columns, form=arguments.format)
        if not arguments.no_stream and sys.stdout.isatty():
            text = _FROM_THE_TOP + text
        sys.stdout.write(text)
        sys.stdout.flush()
        if arguments.no_stream:
            return 0
        before, pause = now, _PAUSE


def _chosen(engine: Engine, arguments: argparse.Namespace) -> list[ContainerRecord]:
    from estiba.engine import lifecycle

    if arguments.containers:
        return [engine.find(name) for name in arguments.containers]
    visible = (lifecycle.RUNNING, lifecycle.PAUSED)
    return [record for record in engine.all() if arguments.all or record.state in visible]


def _row(record: ContainerRecord, before: Usage | None, now: Usage | None, *, whole: bool) -> dict[str, object]:
    row: dict[str, object] = {
        "ID": record.id if whole else record.id[:12],
        "Container": record.id if whole else record.id[:12],
        "Name": record.name,
    }
    if now is None:
        return row | {
            "CPUPerc": "--",
            "MemUsage": "-- / --",
            "MemPerc": "--",
            "NetIO": "--",
            "BlockIO": "--",
            "PIDs": "--",
        }
    share = now.processor_share(before) if before is not None else 0.0
    return row | {
        "CPUPerc": f"{share:.2f}%",
        "MemUsage": f"{_binary(now.memory)} / {_binary(now.memory_limit)}",
        "MemPerc": f"{now.memory / now.memory_limit * 100:.2f}%",
        "NetIO": _pair(now.passed),
        "BlockIO": _pair(now.blocks),
        "PIDs": str(now.processes),
    }


def _pair(numbers: tuple[int, int]) -> str:
    from estiba.cli.units import human_size

    return f"{human_size(numbers[0])} / {human_size(numbers[1])}"


def _binary(size: int) -> str:
    """Bytes as Docker shows memory: ``1.5MiB``."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.4g}{units[0]}"
