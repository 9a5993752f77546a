"""`estiba images`: the images that are here."""

from __future__ import annotations

import time
from collections.abc import Iterator

from estiba.errors import InvalidInput
from estiba.oci.labels import matches_label
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.oci.reference import Reference
    from estiba.store.images import ImageRecord
    from estiba.store.references import ReferenceRecord
    from estiba.store.store import Store
    from estiba.wiring.house import House

NONE = "<none>"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="REPOSITORY[:TAG]", help="only these; may hold * and ?")
    parser.add_argument("-a", "--all", action="store_true", help="all images (there are no hidden ones)")
    parser.add_argument("-q", "--quiet", action="store_true", help="only IDs")
    parser.add_argument("--no-trunc", action="store_true", help="whole IDs")
    parser.add_argument("--digests", action="store_true", help="with the digests that registries know")
    parser.add_argument("--format", default="", help="table, json, 'table TEMPLATE' or a template")
    parser.add_argument(
        "-f",
        "--filter",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="dangling, label, reference, before, since, until",
    )
    parser.add_argument("--tree", action="store_true", help="which images stand on the same layers (estiba image tree)")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.format import Column, render

    if args.tree:
        return _tree(args, house)
    rows = list(_rows(house.store, args))
    if args.quiet and not args.format:
        for row in rows:
            print(row["ID"])
        return 0
    columns = [Column("REPOSITORY", "Repository"), Column("TAG", "Tag")]
    if args.digests:
        columns.append(Column("DIGEST", "Digest"))
    columns += [Column("IMAGE ID", "ID"), Column("CREATED", "CreatedSince"), Column("SIZE", "Size")]
    headings = {"CreatedAt": "CREATED AT", "Digest": "DIGEST"}
    print(render(rows, columns, form=args.format, headings=headings), end="")
    return 0


def _tree(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.image_tree import show

    if args.filter or args.format or args.quiet:
        raise InvalidInput("--tree goes with no other form", remedy="Leave --filter, --format and --quiet out.")
    filters = _Filters(house.store, [f"reference={args.name}"] if args.name else [])
    images = [record.target for record in house.store.references.list() if filters.names_it(record.name)]
    if images or not args.name:
        show(house.store, tuple(dict.fromkeys(images)) if args.name else ())
    return 0


def _rows(store: Store, args: argparse.Namespace) -> Iterator[dict[str, object]]:
    names: dict[str, list[ReferenceRecord]] = {}
    for reference in store.references.list():
        names.setdefault(str(reference.target), []).append(reference)
    users: dict[str, int] = {}
    for use in store.uses.list():
        if use.kind == "image":
            users[use.target] = users.get(use.target, 0) + 1
    filters = _Filters(store, [*args.filter, *([f"reference={args.name}"] if args.name else [])])
    for record in store.images.list():
        own = names.get(str(record.id), [])
        if not filters.take(record, own):
            continue
        for name in _shown(own, digests=args.digests, filters=filters):
            yield _row(record, name, users.get(str(record.id), 0), whole=args.no_trunc)


def _shown(own: list[ReferenceRecord], *, digests: bool, filters: _Filters) -> list[ReferenceRecord | None]:
    """One row for each name with a tag; those with a digest only where there is no other, or when digests are asked."""
    tagged = [record for record in own if record.name.tag]
    shown = (own if digests else tagged) or own
    return [record for record in shown if filters.names_it(record.name)] if own else [None]


def _row(record: ImageRecord, name: ReferenceRecord | None, users: int, *, whole: bool) -> dict[str, object]:
    from estiba.cli.units import human_duration, human_size, local_time

    size = human_size(record.size)
    return {
        "ID": str(record.id) if whole else record.id.short,
        "Repository": name.name.familiar_name if name else NONE,
        "Tag": (name.name.tag if name else None) or NONE,
        "Digest": str(name.manifest) if name and name.manifest else NONE,
        "CreatedSince": human_duration(time.time() - record.created) + " ago" if record.created else "N/A",
        "CreatedAt": local_time(record.created) if record.created else "N/A",
        "Size": size,
        "VirtualSize": human_size(record.size, digits=4),
        "Containers": str(users) if users else "N/A",
        "SharedSize": "N/A",
        "UniqueSize": "N/A",
    }


class _Filters:
    """What ``--filter`` lets through. Raises InvalidInput for an unknown key."""

    def __init__(self, store: Store, texts: list[str]) -> None:
        self._store = store
        self._dangling: bool | None = None
        self._labels: list[str] = []
        self._references: list[str] = []
        self._before: int | None = None
        self._since: int | None = None
        self._until: float | None = None
        for text in texts:
            key, equals, value = text.partition("=")
            if not equals:
                raise InvalidInput(f"invalid filter {text!r}", remedy="Write KEY=VALUE, such as dangling=true.")
            self._add(key, value)

    def _add(self, key: str, value: str) -> None:
        if key == "dangling":
            if value.lower() not in ("true", "false", "1", "0"):
                raise InvalidInput(f"invalid filter dangling={value}", remedy="Write dangling=true or dangling=false.")
            self._dangling = value.lower() in ("true", "1")
        elif key == "label":
            self._labels.append(value)
        elif key == "reference":
            self._references.append(value)
        elif key == "before":
            self._before = self._store.images.find(value).created
        elif key == "until":
            from estiba.cli.times import moment
            from estiba.image.assemble import unix_seconds

            self._until = unix_seconds(moment(value, now=time.time()))
        elif key == "since":
            self._since = self._store.images.find(value).created
        else:
            raise InvalidInput(
                f"unknown filter {key!r}", remedy="There are dangling, label, reference, before, since and until."
            )

    def take(self, record: ImageRecord, names: list[ReferenceRecord]) -> bool:
        if self._dangling is not None and self._dangling == bool(names):
            return False
        if self._before is not None and record.created >= self._before:
            return False
        if self._since is not None and record.created <= self._since:
            return False
        if self._until is not None and record.created >= self._until:
            return False
        if self._references and not any(self.names_it(name.name) for name in names):
            return False
        if self._labels:
            labels = dict(self._store.images.config(record.id).run.labels)
            return all(matches_label(labels, text) for text in self._labels)
        return True

    def names_it(self, name: Reference) -> bool:
        from fnmatch import fnmatchcase

        if not self._references:
            return True
        forms = [name.familiar_name, name.familiar, name.name, str(name), name.familiar_name.rpartition("/")[2]]
        return any(fnmatchcase(form, pattern) for pattern in self._references for form in forms)
