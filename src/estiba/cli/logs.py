"""`estiba logs`: what a container wrote."""

from __future__ import annotations

import sys
import time

from estiba.cli.times import moment
from estiba.errors import InvalidInput
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-f", "--follow", action="store_true", help="go on until the container ends")
    add("-n", "--tail", default="all", metavar="NUMBER", help="only the last lines (all)")
    add("--since", default="", metavar="TIME", help="from a time on, or for so long back: 10m, 2026-01-02T03:04:05")
    add("--until", default="", metavar="TIME", help="up to a time")
    add("-t", "--timestamps", action="store_true", help="show when")
    add("--details", action="store_true", help="accepted; there are none")
    add("container", metavar="CONTAINER")


def run(arguments: argparse.Namespace, house: House) -> int:
    from estiba.engine import logs
    from estiba.engine.lifecycle import HAS_MONITOR

    engine = house.engine
    record = engine.find(arguments.container)
    if record.parsed_options().logs.driver == "none":
        raise InvalidInput(f"container {record.name} keeps no logs (--log-driver none)")
    now = time.time()
    wanted = logs.Wanted(
        tail=_tail(arguments.tail), since=moment(arguments.since, now=now), until=moment(arguments.until, now=now)
    )
    path = engine.paths(record.id).log

    def is_alive() -> bool:
        current = engine.containers.get(record.id)
        current = engine.fresh(current) if current else None
        return current is not None and current.state in HAS_MONITOR

    entries = logs.follow(path, wanted, is_alive=is_alive) if arguments.follow else logs.read(path, wanted)
    streams = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
    for entry in entries:
        stream = streams.get(entry.stream, sys.stdout.buffer)
        if arguments.timestamps:
            stream.write(entry.time.encode() + b" ")
        stream.write(entry.data)
        if arguments.follow or entry.stream == "stderr":
            stream.flush()
    return 0


def _tail(text: str) -> int | None:
    if text == "all" or text.startswith("-"):
        return None
    if not text.isdigit():
        raise InvalidInput(f"invalid number of lines {text!r}", remedy="Give a number, or all.")
    return int(text)
