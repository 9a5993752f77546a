"""`estiba volume …`: ls, create, inspect, rm, prune; undo and trash, for those that were removed."""

from __future__ import annotations

from estiba.errors import InvalidInput
from estiba.oci.labels import matches_label, matches_labels
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.engine.volumes import Volume
    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", metavar="COMMAND", required=True)
    ls = commands.add_parser("ls", aliases=["list"], help="list volumes")
    ls.add_argument("-q", "--quiet", action="store_true", help="only names")
    ls.add_argument("-f", "--filter", action="append", default=[], metavar="KEY=VALUE", help="name, label, dangling")
    ls.add_argument("--format", default="", help="table, json, 'table TEMPLATE' or a template")
    create = commands.add_parser("create", help="make a volume")
    create.add_argument("--label", action="append", default=[], metavar="NAME=VALUE")
    create.add_argument("name", nargs="?", metavar="NAME")
    inspect = commands.add_parser("inspect", help="show all about volumes")
    inspect.add_argument("-f", "--format", default="", metavar="TEMPLATE")
    inspect.add_argument("names", nargs="+", metavar="NAME")
    remove = commands.add_parser("rm", aliases=["remove"], help="remove volumes; `undo` takes them back for a time")
    remove.add_argument("-f", "--force", action="store_true", help="a missing volume is no error")
    remove.add_argument("names", nargs="+", metavar="NAME")
    prune = commands.add_parser("prune", help="remove anonymous volumes that no container has")
    prune.add_argument("-a", "--all", action="store_true", help="those with a name too")
    prune.add_argument("-f", "--force", action="store_true", help="do not ask")
    prune.add_argument("--filter", action="append", default=[], metavar="KEY=VALUE", help="label, label!")
    for each in (remove, prune):
        each.add_argument("--keep", default="", metavar="TIME", help="how long it can be taken back: 7d, 12h; 0: not")
    undo = commands.add_parser("undo", help="take a removed volume back")
    undo.add_argument("--as", dest="new_name", default="", metavar="NEW", help="under another name")
    undo.add_argument("name", metavar="NAME|ID")
    trash = commands.add_parser("trash", help="volumes that can be taken back")
    trashed = trash.add_subparsers(dest="trash_action", metavar="COMMAND", required=True)
    trash_ls = trashed.add_parser("ls", aliases=["list"], help="list them, what was removed last first")
    trash_ls.add_argument("-q", "--quiet", action="store_true", help="only names")
    trash_ls.add_argument("--format", default="", help="table, json, 'table TEMPLATE' or a template")
    empty = trashed.add_parser("empty", help="remove them for good")
    empty.add_argument("-f", "--force", action="store_true", help="do not ask")
    empty.add_argument("--expired", action="store_true", help="only those whose time is over")
    empty.add_argument("names", nargs="*", metavar="NAME|ID", help="only these")


def run(arguments: argparse.Namespace, house: House) -> int:
    from estiba.cli import volume_trash

    actions = {
        "ls": _list,
        "list": _list,
        "create": _create,
        "inspect": _inspect,
        "rm": _remove,
        "remove": _remove,
        "undo": volume_trash.undo,
        "trash": volume_trash.run,
    }
    house.engine.volumes.trash.take_back()  # else what a killed command left half moved would be nowhere to be seen
    return actions.get(arguments.action, _prune)(arguments, house)


def _list(arguments: argparse.Namespace, house: House) -> int:
    from estiba.cli.format import Column, render

    found = [volume for volume in house.engine.volumes.all() if _matches(volume, arguments.filter, house)]
    if arguments.quiet and not arguments.format:
        for volume in found:
            print(volume.name)
        return 0
    rows = [
        {
            "Driver": "local",
            "Name": volume.name,
            "Labels": ",".join(f"{name}={value}" for name, value in volume.labels.items()),
            "Mountpoint": volume.mountpoint,
            "Scope": "local",
        }
        for volume in found
    ]
    columns = [Column("DRIVER", "Driver"), Column("VOLUME NAME", "Name")]
    print(render(rows, columns, form=arguments.format), end="")
    return 0


def _matches(volume: Volume, filters: list[str], house: House) -> bool:
    for text in filters:
        key, _, value = text.partition("=")
        if key == "name":
            matches = value in volume.name
        elif key == "label":
            matches = matches_label(volume.labels, value)
        elif key == "dangling":
            matches = (value.lower() in ("true", "1")) == (not house.engine.volumes.users(volume.name))
        else:
            raise InvalidInput(f"invalid filter {text!r}", remedy="Keys are name, label and dangling.")
        if not matches:
            return False
    return True


def _create(arguments: argparse.Namespace, house: House) -> int:
    import os

    labels = dict(entry.partition("=")[::2] for entry in arguments.label)
    if arguments.name:
        volume = house.engine.volumes.create(arguments.name, labels=labels)
    else:
        volume = house.engine.volumes.ensure(os.urandom(32).hex(), is_anonymous=True, labels=labels)
    print(volume.name)
    return 0


def _inspect(arguments: argparse.Namespace, house: House) -> int:
    from estiba.cli.inspect import show
    from estiba.engine.inspect import inspect_volume

    def inspect(name: str) -> dict[str, object]:
        return inspect_volume(house.engine.volumes.get(name))

    return show(arguments.names, [inspect], form=arguments.format, what="volume")


def _keep(arguments: argparse.Namespace) -> float | None:
    """The time of ``--keep``; None: as long as is usual here."""
    from estiba.engine.trash import parse_time

    return parse_time(arguments.keep) if arguments.keep else None


def _remove(arguments: argparse.Namespace, house: House) -> int:
    from estiba.cli.each import for_each
    from estiba.engine.volumes import NoSuchVolume

    keep = _keep(arguments)

    def remove(name: str) -> str | None:
        try:
            house.engine.volumes.remove(name, keep=keep)
        except NoSuchVolume:
            if not arguments.force:
                raise
            return None
        return name

    return for_each(arguments.names, remove)


def _prune(arguments: argparse.Namespace, house: House) -> int:
    """The plan, the question, the removal of exactly that plan."""
    import time

    from estiba.cli.prune_filters import parsed
    from estiba.cli.questions import agrees
    from estiba.cli.units import human_duration, human_size
    from estiba.engine import prune

    keep, made = _keep(arguments), time.time()
    wanted = parsed(arguments.filter, keys=("label", "label!"))
    unused = house.engine.volumes.unused(also_named=arguments.all)
    plan = [volume for volume in unused if matches_labels(volume.labels, wanted)]
    if not plan:
        print("No unused volumes.")
        return 0
    print("Unused volumes, which will be removed with their files:")
    for volume in plan:
        print(f"  {volume.name}")
    if not arguments.force and not agrees("Go on?"):
        return 1
    done = prune.remove(house.engine, prune.of_volumes(plan), made=made, keep=keep)
    for reason in done.refused:
        print(f"stays: {reason}")
    print(f"Removed {len(done.removed.removals)} volumes.")
    if done.trashed:
        time_left = human_duration(house.settings.volume_trash if keep is None else keep)
        print(f"{len(done.trashed)} can be taken back for {time_left}: estiba volume undo NAME")
    print(f"Total reclaimed space: {human_size(done.removed.size, digits=4)}")
    return 0
