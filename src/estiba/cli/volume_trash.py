"""`estiba volume undo` and `estiba volume trash`: removed volumes, as long as they can be taken back."""

from __future__ import annotations

import time

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from estiba.engine.trash import Trashed
    from estiba.wiring.house import House


def undo(arguments: argparse.Namespace, house: House) -> int:
    print(house.engine.volumes.trash.restore(arguments.name, name=arguments.new_name))
    return 0


def run(arguments: argparse.Namespace, house: House) -> int:
    return _empty(arguments, house) if arguments.trash_action == "empty" else _list(arguments, house)


def _list(arguments: argparse.Namespace, house: House) -> int:
    from estiba.cli.format import Column, render

    found = house.engine.volumes.trash.all()
    if arguments.quiet and not arguments.format:
        for volume in found:
            print(volume.name)
        return 0
    columns = [
        Column("VOLUME NAME", "Name"),
        Column("ID", "ID"),
        Column("REMOVED", "RemovedSince"),
        Column("KEPT FOR", "KeptFor"),
        Column("SIZE", "Size"),
    ]
    print(render([_row(volume) for volume in found], columns, form=arguments.format), end="")
    return 0


def _row(volume: Trashed) -> dict[str, object]:
    from estiba.cli.units import human_duration, human_size
    from estiba.store.scratch import size_on_disk

    left = volume.expires - time.time()
    return {
        "Name": volume.name,
        "ID": volume.id,
        "RemovedSince": human_duration(time.time() - volume.removed) + " ago",
        "RemovedAt": volume.removed,
        "KeptFor": human_duration(left) if left > 0 else "until the next gc",
        "ExpiresAt": volume.expires,
        "Size": human_size(size_on_disk(volume.directory)),
        "Labels": ",".join(f"{name}={value}" for name, value in volume.labels.items()),
    }


def _empty(arguments: argparse.Namespace, house: House) -> int:
    """The plan, the question, the removal of exactly that plan."""
    from estiba.cli.questions import agrees
    from estiba.cli.units import human_size
    from estiba.store.scratch import size_on_disk

    trash = house.engine.volumes.trash
    chosen: Sequence[Trashed] = trash.all()
    if arguments.names:
        chosen = [trash.find(name) for name in arguments.names]
    if arguments.expired:
        chosen = [one for one in chosen if one.has_expired(time.time())]
    if not chosen:
        print("There is nothing to remove.")
        return 0
    size = sum(size_on_disk(one.directory) for one in chosen)
    print("Volumes whose files will be gone for good:")
    for one in chosen:
        print(f"  {one.name} ({one.id})")
    if not arguments.force and not agrees("Go on?"):
        return 1
    trash.empty(chosen)
    print(f"Total reclaimed space: {human_size(size, digits=4)}")
    return 0
