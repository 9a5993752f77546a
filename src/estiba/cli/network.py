"""`estiba network …`: ls, create, inspect, connect, disconnect, rm, prune."""

from __future__ import annotations

from estiba.errors import InvalidInput, NotThereYet
from estiba.oci.labels import matches_label, matches_labels
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.networks.definitions import NetworkRecord
    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", metavar="COMMAND", required=True)
    ls = commands.add_parser("ls", aliases=["list"], help="list networks")
    ls.add_argument("-q", "--quiet", action="store_true", help="only IDs")
    ls.add_argument("--no-trunc", action="store_true", help="whole IDs")
    ls.add_argument("-f", "--filter", action="append", default=[], metavar="KEY=VALUE", help="name, id, driver, label")
    ls.add_argument("--format", default="", help="table, json, 'table TEMPLATE' or a template")
    create = commands.add_parser("create", help="make a network")
    create.add_argument("-d", "--driver", default="bridge", help="only bridge")
    create.add_argument("--subnet", default="", metavar="ADDRESS/PREFIX", help="default: a free one")
    create.add_argument("--internal", action="store_true", help="without a way to the outside")
    create.add_argument("--label", action="append", default=[], metavar="NAME=VALUE")
    create.add_argument("--ipv6", action="store_true", help="not there yet")
    create.add_argument("name", metavar="NAME")
    inspect = commands.add_parser("inspect", help="show all about networks")
    inspect.add_argument("-f", "--format", default="", metavar="TEMPLATE")
    inspect.add_argument("names", nargs="+", metavar="NETWORK")
    remove = commands.add_parser("rm", aliases=["remove"], help="remove networks")
    remove.add_argument("-f", "--force", action="store_true", help="a missing network is no error")
    remove.add_argument("names", nargs="+", metavar="NETWORK")
    prune = commands.add_parser("prune", help="remove networks that no container is in")
    prune.add_argument("-f", "--force", action="store_true", help="do not ask")
    prune.add_argument("--filter", action="append", default=[], metavar="KEY=VALUE", help="label, label!")
    connect = commands.add_parser("connect", help="put a container into a network")
    connect.add_argument("--alias", action="append", default=[], metavar="NAME", help="a further name of it there")
    connect.add_argument("--ip", default="", metavar="ADDRESS", help="its IPv4 address there")
    disconnect = commands.add_parser("disconnect", help="take a container out of a network")
    disconnect.add_argument("-f", "--force", action="store_true", help="a container that is gone is no error")
    for command in (connect, disconnect):
        command.add_argument("network", metavar="NETWORK")
        command.add_argument("container", metavar="CONTAINER")


def run(arguments: argparse.Namespace, house: House) -> int:
    actions = {"ls": _list, "list": _list, "create": _create, "inspect": _inspect, "rm": _remove, "remove": _remove}
    actions |= {"connect": _connect, "disconnect": _disconnect}
    return actions.get(arguments.action, _prune)(arguments, house)


def _list(arguments: argparse.Namespace, house: House) -> int:
    from estiba.cli.format import Column, render

    found = [record for record in house.networks.list() if _matches(record, arguments.filter)]
    rows = [
        {
            "ID": record.id if arguments.no_trunc else record.id[:12],
            "Name": record.name,
            "Driver": record.driver,
            "Scope": "local",
            "Internal": str(record.internal).lower(),
            "IPv6": "false",
            "Labels": ",".join(f"{name}={value}" for name, value in record.labels.items()),
            "CreatedAt": _moment(record.created),
        }
        for record in found
    ]
    if arguments.quiet and not arguments.format:
        for row in rows:
            print(row["ID"])
        return 0
    columns = [Column("NETWORK ID", "ID"), Column("NAME", "Name"), Column("DRIVER", "Driver"), Column("SCOPE", "Scope")]
    print(render(rows, columns, form=arguments.format), end="")
    return 0


def _connect(arguments: argparse.Namespace, house: House) -> int:
    from estiba.engine.memberships import connect
    from estiba.engine.options import Membership

    membership = Membership(arguments.network, tuple(arguments.alias), arguments.ip)
    connect(house.engine, arguments.container, membership)
    return 0


def _disconnect(arguments: argparse.Namespace, house: House) -> int:
    from estiba.engine.memberships import disconnect
    from estiba.engine.records import NoSuchContainer

    try:
        disconnect(house.engine, arguments.container, arguments.network)
    except NoSuchContainer:
        if not arguments.force:
            raise
    return 0


def _matches(record: NetworkRecord, filters: list[str]) -> bool:
    for text in filters:
        key, _, value = text.partition("=")
        if key == "name":
            matches = value in record.name
        elif key == "id":
            matches = record.id.startswith(value)
        elif key == "driver":
            matches = record.driver == value
        elif key == "label":
            matches = matches_label(record.labels, value)
        else:
            raise InvalidInput(f"invalid filter {text!r}", remedy="Keys are name, id, driver and label.")
        if not matches:
            return False
    return True


def _create(arguments: argparse.Namespace, house: House) -> int:
    if arguments.ipv6:
        raise NotThereYet("networks with IPv6 are not there yet", remedy="Leave --ipv6 out, or use --network host.")
    if arguments.driver != "bridge":
        raise NotThereYet(f"networks of the driver {arguments.driver!r} are not there yet", remedy="Use bridge.")
    labels = dict(entry.partition("=")[::2] for entry in arguments.label)
    record = house.networks.create(
        arguments.name, subnet=arguments.subnet or None, internal=arguments.internal, labels=labels
    )
    print(record.id)
    return 0


def _inspect(arguments: argparse.Namespace, house: House) -> int:
    from estiba.cli.inspect import show
    from estiba.engine.inspect import inspect_network

    def inspect(name: str) -> dict[str, object]:
        return inspect_network(house.engine, house.networks.inspect(name))

    return show(arguments.names, [inspect], form=arguments.format, what="network")


def _remove(arguments: argparse.Namespace, house: House) -> int:
    from estiba.cli.each import for_each
    from estiba.networks.definitions import NetworkNotFound

    def remove(name: str) -> str | None:
        try:
            house.networks.remove(house.networks.inspect(name).name)
        except NetworkNotFound:
            if not arguments.force:
                raise
            return None
        return name

    return for_each(arguments.names, remove)


def _prune(arguments: argparse.Namespace, house: House) -> int:
    """The plan, the question, the removal of exactly that plan."""
    from estiba.cli.prune_filters import parsed
    from estiba.cli.questions import agrees
    from estiba.cli.units import counted

    wanted = parsed(arguments.filter, keys=("label", "label!"))
    plan = [record for record in house.networks.unused() if matches_labels(record.labels, wanted)]
    if not plan:
        print("No unused networks.")
        return 0
    print("Unused networks, which will be removed:")
    for record in plan:
        note = "" if record.created else "  (built in: its bridge, until a container needs it)"
        print(f"  {record.name}  {record.subnet}{note}")
    if not arguments.force and not agrees("Go on?"):
        return 1
    for record in plan:
        if record.created:
            house.networks.remove(record.name)
        else:
            house.networks.take_down(record.name)
    print(f"Removed {counted(len(plan), 'network')}.")
    return 0


def _moment(seconds: int) -> str:
    import time

    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
