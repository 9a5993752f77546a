"""`estiba image …`: the commands for images, grouped, and those that have no name of their own."""

from __future__ import annotations

from importlib import import_module

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House

# The command within the group -> the module that serves it, most of them at the top level too.
_SHARED = {
    "ls": ("images", "list images"),
    "list": ("images", "list images"),
    "inspect": ("image_inspect", "show all about images"),
    "history": ("history", "show what made an image's layers"),
    "rm": ("rmi", "remove images"),
    "remove": ("rmi", "remove images"),
    "save": ("save", "write images to an archive"),
    "load": ("load", "read images from an archive"),
    "tag": ("tag", "give an image a further name"),
    "build": ("build", "build an image from a Dockerfile"),
    "pull": ("pull", "fetch an image from a registry"),
    "push": ("push", "send an image to a registry"),
    "tree": ("image_tree", "show which images stand on the same layers"),
    "diff": ("image_diff", "show what is different between two images"),
    "import": ("image_import", "make an image from a tar of files"),
    "mount": ("image_mount", "show the files of an image at a directory, read-only"),
    "export": ("image_export", "write the files of an image as one tar"),
}


def member(name: str) -> tuple[str, str] | None:
    """The module and the summary of a command of the group that needs nothing of the others."""
    return _SHARED.get(name)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, text) in _SHARED.items():
        child = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        import_module(f"estiba.cli.{module}").add_arguments(child)
    _add_prune(commands.add_parser("prune", help="remove images without a name", allow_abbrev=False))
    _add_unmount(commands)
    layout = commands.add_parser(
        "layout", help="write an OCI image layout, or make the store's root one", allow_abbrev=False
    )
    layout.add_argument("directory", nargs="?", metavar="DIR", help="a new directory; none: the store's root itself")
    layout.add_argument("images", nargs="*", metavar="IMAGE", help="what to write to DIR")


def _add_unmount(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from estiba.cli.image_mount import add_unmount_arguments

    text = "take mounted images away"
    add_unmount_arguments(commands.add_parser("unmount", aliases=["umount"], help=text, allow_abbrev=False))


def _add_prune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="every image that no container has")
    parser.add_argument("-f", "--force", action="store_true", help="do not ask")
    parser.add_argument("-n", "--dry-run", action="store_true", help="show the plan and remove nothing")
    parser.add_argument("--filter", action="append", default=[], metavar="KEY=VALUE", help="until, label, label!")


def run(args: argparse.Namespace, house: House) -> int:
    if args.command in _SHARED:
        status: int = import_module(f"estiba.cli.{_SHARED[args.command][0]}").run(args, house)
        return status
    if args.command in ("unmount", "umount"):
        from estiba.cli.image_mount import unmount

        return unmount(args, house)
    if args.command == "prune":
        return _prune(args, house)
    return _layout(args, house)


def _prune(args: argparse.Namespace, house: House) -> int:
    """The plan, the question, the removal of exactly that plan."""
    from estiba.cli import gc as gc_command
    from estiba.cli.prune_filters import spared
    from estiba.cli.questions import agrees
    from estiba.cli.units import human_size
    from estiba.store import gc

    options = gc.Options(dangling=True, unused=args.all)
    facts = gc.gather(house.store, options)
    plan = gc.plan(facts._replace(uses=(*facts.uses, *spared(house.store, args.filter))), options)
    gc_command.show(plan)
    if args.dry_run:
        return 0
    if plan.removals and not (args.force or agrees("Remove this?")):
        return 0
    done = gc.apply(house.store, plan, options)
    print(f"Total reclaimed space: {human_size(done.size, digits=4)}")
    return 0


def _layout(args: argparse.Namespace, house: House) -> int:
    from estiba.errors import InvalidInput
    from estiba.image.archive.save import choose
    from estiba.image.layout import export_layout, make_root_a_layout

    if args.directory is None:
        images = make_root_a_layout(house.store)
        print(f"{house.store.paths.root} is an OCI image layout of {len(images)} images")
        return 0
    if not args.images:
        raise InvalidInput("no image is named", remedy="Write: estiba image layout DIR IMAGE...")
    export_layout(house.store, choose(house.store, args.images), args.directory)
    return 0
