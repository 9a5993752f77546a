"""`estiba container …`: the commands for containers, grouped, and `inspect` and `prune`."""

from __future__ import annotations

from importlib import import_module

from estiba.cli.commands import CONTAINERS
from estiba.cli.parser import SUPPRESS
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House

# The command within the group -> the module that also serves it at the top level.
_SHARED = {
    "attach": "attach",
    "commit": "commit",
    "cp": "cp",
    "create": "create",
    "diff": "diff",
    "exec": "exec",
    "export": "export",
    "kill": "kill",
    "logs": "logs",
    "ls": "ps",
    "list": "ps",
    "ps": "ps",
    "pause": "pause",
    "port": "port",
    "rename": "rename",
    "restart": "restart",
    "rm": "rm",
    "remove": "rm",
    "run": "run",
    "start": "start",
    "stats": "stats",
    "stop": "stop",
    "top": "top",
    "unpause": "unpause",
    "update": "update",
    "wait": "wait",
}


def member(name: str) -> tuple[str, str] | None:
    """The module and the summary of a command of the group that needs nothing of the others."""
    module = _SHARED.get(name)
    return (module, CONTAINERS[module].summary) if module else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", metavar="COMMAND", required=True)
    for name, module in _SHARED.items():
        help_text = f"see `estiba {module}`"
        child = commands.add_parser(name, help=help_text, allow_abbrev=False, conflict_handler="resolve")
        import_module(f"estiba.cli.{module}").add_arguments(child)
    inspect = commands.add_parser("inspect", help="show all about containers", allow_abbrev=False)
    inspect.add_argument("-f", "--format", default="", metavar="TEMPLATE")
    inspect.add_argument("-s", "--size", action="store_true", help=SUPPRESS)
    inspect.add_argument("names", nargs="+", metavar="CONTAINER")
    prune = commands.add_parser("prune", help="remove containers that have ended", allow_abbrev=False)
    prune.add_argument("-f", "--force", action="store_true", help="do not ask")
    prune.add_argument("--filter", action="append", default=[], metavar="KEY=VALUE", help="label, label!")


def run(arguments: argparse.Namespace, house: House) -> int:
    if arguments.action in _SHARED:
        status: int = import_module(f"estiba.cli.{_SHARED[arguments.action]}").run(arguments, house)
        return status
    if arguments.action == "inspect":
        from estiba.cli.inspect import show
        from estiba.engine.inspect import inspect_container

        def inspect(name: str) -> dict[str, object]:
            return inspect_container(house.engine, name)

        return show(arguments.names, [inspect], form=arguments.format, what="container")
    return _prune(arguments, house)


def _prune(arguments: argparse.Namespace, house: House) -> int:
    """The plan, the question, the removal of exactly that plan."""
    from estiba.cli.prune_filters import parsed
    from estiba.cli.questions import agrees
    from estiba.cli.units import counted, human_size
    from estiba.engine import prune
    from estiba.oci.labels import matches_labels

    wanted = parsed(arguments.filter, keys=("label", "label!"))
    ended = prune.ended(house.engine)
    plan = [record for record in ended if matches_labels(dict(record.parsed_process().labels), wanted)]
    if not plan:
        print("No stopped containers.")
        return 0
    print("Stopped containers, which will be removed (their volumes stay):")
    for record in plan:
        print(f"  {record.id[:12]}  {record.name}")
    if not arguments.force and not agrees("Go on?"):
        return 1
    done = prune.remove(house.engine, prune.of_containers(house.engine, plan))
    for reason in done.refused:
        print(f"stays: {reason}")
    print(f"Removed {counted(len(done.removed.removals), 'container')}.")
    print(f"Total reclaimed space: {human_size(done.removed.size, digits=4)}")
    return 0
