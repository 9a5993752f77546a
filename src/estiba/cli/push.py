"""`estiba push NAME[:TAG]`: send an image to the registry that its name names."""

from __future__ import annotations

from estiba.cli.parser import SUPPRESS
from estiba.errors import InvalidInput, NotFound
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from estiba.cli.transfers import Quiet
    from estiba.oci.reference import Reference
    from estiba.registry.client.push import PushResult
    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from estiba.cli.transfers import add_progress

    parser.add_argument("name", metavar="NAME[:TAG]")
    add_progress(parser)
    parser.add_argument("--disable-content-trust", action="store_true", help=SUPPRESS)  # Docker's, and its default
    parser.add_argument(
        "--compression", choices=("gzip", "zstd", "none"), default="gzip", help="of layers that never travelled yet"
    )
    parser.add_argument("-a", "--all-tags", action="store_true", help="every tag that the name has here")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.transfers import shown
    from estiba.oci.reference import Reference

    written = Reference.parse(args.name)
    with shown(args) as progress:
        if args.all_tags:
            names = _all_tags(house, written)
        else:
            names = (written.tagged,)
            if written.tagged != written:
                progress.line("Using default tag: latest")
        push_names(house, names, progress=progress, compression=args.compression)
    return 0


def _all_tags(house: House, written: Reference) -> tuple[Reference, ...]:
    if written.tag or written.digest:
        raise InvalidInput("--all-tags takes a name without a tag", remedy=f"Write {written.familiar_name}.")
    names = tuple(
        record.name for record in house.store.references.list() if record.name.tag and record.name.name == written.name
    )
    if not names:
        raise NotFound(f"no image here is called {written.familiar_name}", remedy="See `estiba images`.")
    return names


def push_names(house: House, names: Sequence[Reference], *, progress: Quiet, compression: str = "gzip") -> None:
    """Send the images of these names, one after the other, and show what travelled."""
    from estiba.registry.client.push import push

    for name in names:
        result = push(
            house.store,
            house.store.images.find(str(name)).id,
            name,
            credentials=house.credentials,
            progress=progress,
            compression=compression,
            routes=house.routes,
        )
        progress.line(_summary(result))
        told = f"{name.tag or 'digest'}: digest: {result.digest} size: {result.manifest_size}"
        progress.result(
            name.familiar if progress.is_quiet else told,
            name=str(name),
            digest=str(result.digest),
            size=result.manifest_size,
            bytes_sent=result.bytes_sent,
        )


def _summary(result: PushResult) -> str:
    """What travelled and what did not, in layers and bytes."""
    counts = []
    for how, words in (("pushed", "pushed"), ("mounted", "mounted"), ("exists", "already there")):
        blobs = [blob for blob in (*result.layers, result.config) if blob.how == how]
        if blobs:
            counts.append(f"{len(blobs)} {words} ({sum(blob.size for blob in blobs)} bytes)")
    return f"sent {result.bytes_sent} bytes; blobs: " + ", ".join(counts)
