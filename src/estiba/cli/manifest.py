"""`estiba manifest …`: lists of images for several platforms are composed here, looked at, and pushed."""

from __future__ import annotations

import sys

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from estiba.oci.manifest import Index, Manifest
    from estiba.oci.reference import Reference
    from estiba.registry.client.ask import Registries
    from estiba.registry.client.lists.draft import Draft, Entry
    from estiba.registry.client.lists.drafts import Drafts
    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", metavar="COMMAND", required=True)
    create = commands.add_parser("create", help="begin a list of images that a registry has", allow_abbrev=False)
    create.add_argument("-a", "--amend", action="store_true", help="add to a list that was begun before")
    create.add_argument("list", metavar="LIST", help="what the list will be called in its registry")
    create.add_argument("images", nargs="+", metavar="IMAGE", help="an image, or an index, whose images are taken")
    annotate = commands.add_parser("annotate", help="say for which platform an image is", allow_abbrev=False)
    annotate.add_argument("--os", default="", metavar="NAME", help="operating system, such as linux")
    annotate.add_argument("--arch", default="", metavar="NAME", help="architecture, such as arm64")
    annotate.add_argument("--variant", default="", metavar="NAME", help="of the architecture, such as v7")
    annotate.add_argument("--os-version", default="", metavar="TEXT")
    annotate.add_argument("--os-features", action="append", default=[], metavar="NAME[,NAME]")
    annotate.add_argument("list", metavar="LIST")
    annotate.add_argument("image", metavar="IMAGE", help="as it was added, or NAME@DIGEST")
    push = commands.add_parser("push", help="push a list and what is in it", allow_abbrev=False)
    push.add_argument("-p", "--purge", action="store_true", help="forget the list here afterwards")
    push.add_argument("list", metavar="LIST")
    remove = commands.add_parser("rm", help="forget lists that were not pushed, or are no longer needed")
    remove.add_argument("lists", nargs="+", metavar="LIST")
    inspect = commands.add_parser("inspect", help="show a manifest, an index or a list", allow_abbrev=False)
    inspect.add_argument("-v", "--verbose", action="store_true", help="with descriptors, each manifest of an index too")
    inspect.add_argument("--raw", action="store_true", help="the very bytes")
    inspect.add_argument("list", nargs="?", default="", metavar="LIST", help="look for the image in this list")
    inspect.add_argument("name", metavar="NAME[:TAG|@DIGEST]")
    for parser in (create, push, inspect):
        parser.add_argument(
            "--insecure", action="store_true", help="certificates need not be valid; plain HTTP will do"
        )


def run(args: argparse.Namespace, house: House) -> int:
    actions = {"create": _create, "annotate": _annotate, "push": _push, "rm": _remove, "inspect": _inspect}
    return actions[args.action](args, house)


def _create(args: argparse.Namespace, house: House) -> int:
    from estiba.oci.reference import Reference
    from estiba.registry.client.lists import compose
    from estiba.registry.client.lists.drafts import ListExists

    name = compose.list_name(args.list)
    drafts = _drafts(house)
    if not args.amend and drafts.find(name) is not None:
        raise ListExists(name)
    references = [Reference.parse(text).tagged for text in args.images]
    entries = compose.find(_registries(args, house, references), references)
    drafts.add(name, entries, amends=args.amend)
    print(f"Created manifest list {name.familiar}")
    return 0


def _annotate(args: argparse.Namespace, house: House) -> int:
    from estiba.oci.reference import Reference
    from estiba.registry.client.lists import compose

    reference = Reference.parse(args.image).tagged

    def annotated(draft: Draft) -> Draft:
        return draft.annotated(
            reference,
            system=args.os,
            architecture=args.arch,
            variant=args.variant,
            version=args.os_version,
            features=tuple(name for text in args.os_features for name in text.split(",") if name),
        )

    _drafts(house).change(compose.list_name(args.list), annotated)
    return 0


def _push(args: argparse.Namespace, house: House) -> int:
    from estiba.registry.client.lists import compose
    from estiba.registry.client.progress import Silence

    name = compose.list_name(args.list)
    draft = _drafts(house).get(name)

    def tell(entry: Entry) -> None:
        digest = entry.descriptor.digest
        print(f"Pushed ref {name.familiar_name}@{digest} with digest: {digest}", flush=True)

    registries = _registries(args, house, (name, *(entry.source for entry in draft.entries)))
    print(compose.push(registries, draft, progress=Silence(), on_manifest=tell))
    if args.purge:
        _drafts(house).remove(name)
    return 0


def _remove(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.each import for_each
    from estiba.registry.client.lists import compose

    def remove(text: str) -> None:
        _drafts(house).remove(compose.list_name(text))

    return for_each(args.lists, remove)


def _inspect(args: argparse.Namespace, house: House) -> int:
    from estiba.cli import manifest_inspect
    from estiba.oci.reference import Reference
    from estiba.registry.client.lists import compose

    reference = Reference.parse(args.name).tagged
    top: Manifest | Index
    entries: tuple[Entry, ...] = ()
    if args.list:
        entry = _drafts(house).get(compose.list_name(args.list)).entry(reference)
        top, entries = entry.document, (entry,)
    elif (draft := _drafts(house).find(reference)) is not None:
        top, entries = draft.to_index(), draft.entries
    else:
        registries = _registries(args, house, (reference,))
        if args.verbose and not args.raw:
            top, entries = compose.look(registries, reference)
        else:
            top, _ = registries.manifest(reference)
    if args.raw:
        sys.stdout.buffer.write(top.raw)
    else:
        print(manifest_inspect.verbose(top, entries) if args.verbose else manifest_inspect.plain(top))
    return 0


def _drafts(house: House) -> Drafts:
    from estiba.registry.client.lists.drafts import Drafts
    from estiba.store.paths import StorePaths

    return Drafts(StorePaths(house.settings.root))


def _registries(args: argparse.Namespace, house: House, references: Iterable[Reference]) -> Registries:
    """As the settings say, or less strict for the registries of `references`."""
    from dataclasses import replace

    found = house.registries
    if not args.insecure:
        return found
    names = tuple(reference.registry for reference in references)
    return replace(found, routes=replace(found.routes, insecure=(*found.routes.insecure, *names)))
