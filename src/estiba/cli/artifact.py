"""`estiba artifact pull|push`: files that are no images, kept in a registry, as ORAS keeps them."""

from __future__ import annotations

from estiba.errors import InvalidInput
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from estiba.cli.transfers import add_progress

    commands = parser.add_subparsers(dest="action", metavar="COMMAND", required=True)
    pull = commands.add_parser("pull", help="fetch the files of an artifact", allow_abbrev=False)
    pull.add_argument("name", metavar="NAME[:TAG|@DIGEST]")
    pull.add_argument("-o", "--output", default=".", metavar="DIR", help="where they go; default: here")
    push = commands.add_parser("push", help="send files as an artifact", allow_abbrev=False)
    push.add_argument("name", metavar="NAME[:TAG]")
    push.add_argument("files", nargs="+", metavar="FILE[:MEDIA/TYPE]")
    push.add_argument("--artifact-type", default="", metavar="TYPE", help="what the whole is")
    push.add_argument("--annotation", action="append", default=[], metavar="NAME=VALUE")
    push.add_argument("--subject", default="", metavar="NAME[:TAG|@DIGEST]", help="what the artifact refers to")
    for each in (pull, push):
        add_progress(each)


def run(args: argparse.Namespace, house: House) -> int:
    return _pull(args, house) if args.action == "pull" else _push(args, house)


def _pull(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.transfers import shown
    from estiba.oci.reference import Reference
    from estiba.registry.client import artifacts

    reference = Reference.parse(args.name).tagged
    with shown(args) as progress:
        for path in artifacts.pull(house.registries, reference, args.output, progress=progress):
            progress.result(path, path=path)
    return 0


def _push(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.transfers import shown
    from estiba.oci.reference import Reference
    from estiba.registry.client import artifacts

    annotations = dict(text.partition("=")[::2] for text in args.annotation)
    if "" in annotations:
        raise InvalidInput("an annotation without a name", remedy="Write --annotation NAME=VALUE.")
    reference = Reference.parse(args.name)
    subject = Reference.parse(args.subject).tagged if args.subject else None
    if subject is None:
        reference = reference.tagged  # else its digest will do
    elif subject.name != reference.name:
        raise InvalidInput(
            f"{subject.familiar} is not in the repository {reference.familiar_name}",
            remedy="An artifact refers to what is in its own repository.",
        )
    with shown(args) as progress:
        digest = artifacts.push(
            house.registries,
            reference,
            [artifacts.GivenFile.parse(text) for text in args.files],
            artifact_type=args.artifact_type or artifacts.DEFAULT_TYPE,
            annotations=annotations,
            subject=subject,
            progress=progress,
        )
        progress.result(str(digest), name=str(reference), digest=str(digest))
    return 0
