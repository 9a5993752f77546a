"""`estiba commit`: an image from a container's changes."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--author", default="", metavar="TEXT", help="who made it")
    parser.add_argument("-m", "--message", default="", metavar="TEXT", help="a comment for the history")
    parser.add_argument(
        "-c",
        "--change",
        action="append",
        default=[],
        metavar="INSTRUCTION",
        help="such as 'CMD [\"/app\"]': an instruction of a Dockerfile that changes no file",
    )
    parser.add_argument(
        "-p",
        "--pause",
        action="store_true",
        default=True,
        help="a running container is paused meanwhile (default: true)",
    )
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("name", nargs="?", default="", metavar="NAME[:TAG]")


def run(arguments: argparse.Namespace, house: House) -> int:
    from estiba.dockerfile.changes import apply_changes
    from estiba.engine.committing import About, commit
    from estiba.errors import InvalidInput
    from estiba.oci.reference import Reference

    if not arguments.pause:
        raise InvalidInput(
            "--pause=false is refused: what a container changes while it is read may lead the reader astray",
            remedy="Leave it out, or stop the container first.",
        )
    name = Reference.parse(arguments.name).tagged if arguments.name else None
    if name is not None and name.digest is not None:
        raise InvalidInput(f"{arguments.name!r} has a digest", remedy="Name a tag: a digest follows from the content.")
    changes = apply_changes(arguments.change, platform=house.settings.platform)
    record = commit(house.engine, arguments.container, About(arguments.author, arguments.message, changes))
    if name is not None:
        house.store.references.set(name, record.id)
    print(record.id)
    return 0
