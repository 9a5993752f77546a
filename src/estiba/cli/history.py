"""`estiba history`: what made an image's layers, the newest first."""

from __future__ import annotations

import time
from collections.abc import Iterator

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.image.image import Image
    from estiba.store.store import Store
    from estiba.wiring.house import House

_SHOWN = 45


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a name or an ID")
    parser.add_argument(
        "-H", "--human", action="store_true", default=True, help="sizes and times for people (default: true)"
    )
    parser.add_argument("--no-human", action="store_false", dest="human", help="bytes and exact times")
    parser.add_argument("-q", "--quiet", action="store_true", help="only IDs")
    parser.add_argument("--no-trunc", action="store_true", help="whole commands")
    parser.add_argument("--format", default="", help="table, json, 'table TEMPLATE' or a template")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.format import Column, render
    from estiba.image.image import find

    rows = list(_rows(house.store, find(house.store, args.image), human=args.human, whole=args.no_trunc))
    if args.quiet and not args.format:
        for row in rows:
            print(row["ID"])
        return 0
    columns = [
        Column("IMAGE", "ID"),
        Column("CREATED" if args.human else "CREATED AT", "CreatedSince" if args.human else "CreatedAt"),
        Column("CREATED BY", "CreatedBy"),
        Column("SIZE", "Size"),
        Column("COMMENT", "Comment"),
    ]
    print(render(rows, columns, form=args.format), end="")
    return 0


def _rows(store: Store, image: Image, *, human: bool, whole: bool) -> Iterator[dict[str, object]]:
    """One row a line of the history; the image's ID at the newest, as the others have none any more."""
    from estiba.cli.units import human_duration, human_size
    from estiba.image.assemble import unix_seconds

    sizes = [store.snapshots.get(chain).size for chain in store.images.content(image.id).chain_ids]
    history = list(image.config.history)
    lines = []
    for line in history:
        size = 0 if line.empty_layer or not sizes else sizes.pop(0)
        lines.append((line, size))
    for position, (line, size) in enumerate(reversed(lines)):
        created = unix_seconds(line.created)
        command = line.created_by.replace("\t", " ")
        yield {
            "ID": ("<missing>" if position else str(image.id) if whole else image.id.short),
            "CreatedSince": human_duration(time.time() - created) + " ago" if created else "N/A",
            "CreatedAt": line.created or "N/A",
            "CreatedBy": command if whole or len(command) <= _SHOWN else command[: _SHOWN - 1] + "…",
            "Size": human_size(size) if human else str(size),
            "Comment": line.comment,
        }
