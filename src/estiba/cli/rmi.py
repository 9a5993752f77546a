"""`estiba rmi`: take names away, and remove images with their last one."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a name or an ID")
    parser.add_argument("-f", "--force", action="store_true", help="take names away although a container needs it")
    parser.add_argument("--no-prune", action="store_true", help="nothing is different: there are no parents")


def run(args: argparse.Namespace, house: House) -> int:
    """Each image by itself; 1 if any could not be removed."""
    from estiba.cli.usage import tell
    from estiba.errors import EstibaError, NotFound
    from estiba.image.remove import remove_image

    status = 0
    for text in args.images:
        try:
            removed = remove_image(house.store, text, force=args.force)
        except EstibaError as error:
            tell(error)
            status = 0 if args.force and isinstance(error, NotFound) and status == 0 else 1
            continue
        for one in removed:
            print(f"{one.what}: {one.target}")
    return status
