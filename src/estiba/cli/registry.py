"""`estiba registry serve | df | gc`: the registry server, and what its storage holds."""

from __future__ import annotations

import json

from estiba.errors import InvalidInput
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.registry.server.measure import Measured
    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="serve|df|gc", required=True)
    serve = actions.add_parser("serve", help="serve a registry until SIGTERM", allow_abbrev=False)
    serve.add_argument("--listen", default="127.0.0.1:5000", metavar="HOST:PORT", help="port 0 is any free one")
    _add_storage(serve)
    serve.add_argument("--tls-cert", default="", metavar="FILE", help="serve HTTPS with this certificate (PEM)")
    serve.add_argument("--tls-key", default="", metavar="FILE", help="the certificate's private key (PEM)")
    serve.add_argument("--htpasswd", default="", metavar="FILE", help="let in only these users (bcrypt)")
    serve.add_argument(
        "--gc-interval", type=int, default=600, metavar="SECONDS", help="how often to free what is unused; 0 is never"
    )
    _add_grace(serve)
    df = actions.add_parser("df", help="show where the bytes are", allow_abbrev=False)
    _add_storage(df)
    df.add_argument("--format", choices=("table", "json"), default="table")
    gc = actions.add_parser("gc", help="free blobs that nothing refers to", allow_abbrev=False)
    _add_storage(gc)
    _add_grace(gc)


def run(args: argparse.Namespace, house: House) -> int:
    directory = args.storage or f"{house.settings.root}/registry"
    if args.action == "serve":
        return _serve(args, directory)
    if args.action == "df":
        return _df(args, directory)
    return _gc(args, directory)


def _add_storage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--storage", default="", metavar="DIR", help="default: registry/ below Estiba's root")


def _add_grace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--grace", type=int, default=3600, metavar="SECONDS", help="keep what has been unused for less than this"
    )


def _serve(args: argparse.Namespace, directory: str) -> int:
    from estiba.registry.server.serve import ServerOptions, serve
    from estiba.web.listen import Address

    if bool(args.tls_cert) != bool(args.tls_key):
        raise InvalidInput("--tls-cert and --tls-key belong together", remedy="Give both or neither.")
    options = ServerOptions(
        listen=Address.parse(args.listen),
        directory=directory,
        tls_certificate=args.tls_cert,
        tls_key=args.tls_key,
        htpasswd=args.htpasswd,
        grace=args.grace,
        gc_interval=args.gc_interval,
    )
    serve(options, announce=lambda url: print(f"listening on {url}", flush=True))
    return 0


def _df(args: argparse.Namespace, directory: str) -> int:
    from estiba.registry.server.measure import measure

    measured = measure(directory)
    if args.format == "json":
        print(json.dumps(_as_json(measured), indent=2))
    else:
        _print_table(measured)
    return 0


def _as_json(measured: Measured) -> dict[str, object]:
    value = measured.usage._asdict()
    value["repositories"] = [repository._asdict() for repository in measured.usage.repositories]
    return value | {"on_disk": measured.on_disk, "uploads": measured.uploads}


def _print_table(measured: Measured) -> None:
    usage = measured.usage
    heads = ("REPOSITORY", "TAGS", "MANIFESTS", "BLOBS", "SIZE", "UNIQUE", "SHARED", "SAVED")
    rows: list[tuple[object, ...]] = [
        (one.name, one.tags, one.manifests, one.blobs, one.size, one.unique, one.shared, one.saved)
        for one in usage.repositories
    ]
    texts = [heads, *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(heads))]
    for row in texts:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("   ".join(cells).rstrip())
    print()
    print(f"stored   {usage.bytes} bytes in {usage.blobs} blobs, each once; {measured.on_disk} bytes on the disk")
    print(f"saved    {usage.saved} bytes that copies of shared layers would take")
    if usage.unreferenced:
        print(f"unused   {usage.unreferenced} bytes that `estiba registry gc` frees after the grace period")
    if measured.uploads:
        print(f"uploads  {measured.uploads} bytes under way")


def _gc(args: argparse.Namespace, directory: str) -> int:
    from estiba.registry.server.serve import DEFAULT_UPLOAD_GRACE, collect_garbage

    done = collect_garbage(directory, grace=args.grace, upload_grace=DEFAULT_UPLOAD_GRACE)
    print(f"freed {done.bytes} bytes: {done.blobs} blobs, {done.uploads} stale uploads, {done.links} unused links")
    return 0
