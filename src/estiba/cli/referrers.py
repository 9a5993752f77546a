"""`estiba referrers NAME`: what refers to an image: signatures, bills of materials, attestations."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME[:TAG|@DIGEST]")
    parser.add_argument("--artifact-type", default="", metavar="TYPE", help="only those of this type")
    parser.add_argument("--format", default="", help="table, json, 'table TEMPLATE' or a template")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.format import Column, render
    from estiba.oci.reference import Reference

    reference = Reference.parse(args.name).tagged
    found = house.registries.referrers(reference, artifact_type=args.artifact_type)
    rows: list[dict[str, object]] = [
        {
            "Digest": str(one.digest),
            "ArtifactType": one.artifact_type or one.media_type,
            "MediaType": one.media_type,
            "Size": one.size,
            "Annotations": dict(one.annotations),
        }
        for one in found
    ]
    columns = [Column("DIGEST", "Digest"), Column("TYPE", "ArtifactType"), Column("SIZE", "Size")]
    print(render(rows, columns, form=args.format), end="")
    return 0
