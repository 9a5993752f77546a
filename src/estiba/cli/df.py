"""`estiba df`: what takes how much space, shared bytes counted once."""

from __future__ import annotations

import time

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.store.store import Store
    from estiba.store.usage import Line, Usage
    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-v", "--verbose", action="store_true", help="each image: what it shares, what it costs alone")
    parser.add_argument("--format", default="", help="table, json, 'table TEMPLATE' or a template")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.format import Column, render
    from estiba.engine.lifecycle import HAS_MONITOR
    from estiba.store.usage import measure

    engine = house.engine
    running = {record.id for record in engine.all() if record.state in HAS_MONITOR}
    in_use = {volume.name for volume in engine.volumes.all() if engine.volumes.users(volume.name)}
    usage = measure(house.store, running=running, volumes_in_use=in_use)
    if args.verbose and not args.format:
        print("Images space usage:\n")
        print(_images(house.store, usage))
    columns = [
        Column("TYPE", "Type"),
        Column("TOTAL", "TotalCount"),
        Column("ACTIVE", "Active"),
        Column("SIZE", "Size"),
        Column("RECLAIMABLE", "Reclaimable"),
    ]
    rows = [
        _row("Images", usage.images),
        _row("Containers", usage.containers),
        _row("Local Volumes", usage.volumes),
        _row("Build Cache", usage.build_cache),
    ]
    if usage.trash.total:
        rows.append(_row("Volume Trash", usage.trash))
    rows.append(_row("Other", usage.other))
    print(render(rows, columns, form=args.format), end="")
    return 0


def _row(kind: str, line: Line) -> dict[str, object]:
    from estiba.cli.units import human_size

    share = f" ({round(100 * line.reclaimable / line.size)}%)" if line.size and line.reclaimable else ""
    return {
        "Type": kind,
        "TotalCount": str(line.total),
        "Active": str(line.active),
        "Size": human_size(line.size, digits=4),
        "Reclaimable": human_size(line.reclaimable, digits=4) + share,
    }


def _images(store: Store, usage: Usage) -> str:
    from estiba.cli.format import align
    from estiba.cli.units import human_duration, human_size

    rows = [["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"]]
    for detail in usage.details:
        record = detail.record
        created = human_duration(time.time() - record.created) + " ago" if record.created else "N/A"
        sizes = [human_size(size) for size in (detail.shared + detail.unique, detail.shared, detail.unique)]
        names = [(name.name.familiar_name, name.name.tag or "<none>") for name in store.references.names_of(record.id)]
        for repository, tag in names or [("<none>", "<none>")]:
            rows.append([repository, tag, record.id.short, created, *sizes, str(detail.containers)])
    return align(rows)
