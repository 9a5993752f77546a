"""What is different between two images: configuration, history, layers, files, packages."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping

from estiba.image.image import Image
from estiba.image.packages import packages
from estiba.image.tree import ImageTree, Node
from estiba.oci.canonical_json import dumps
from estiba.oci.digest import Digest
from estiba.oci.json_fields import parse_object
from estiba.store.store import Store
from estiba.values import NamedTuple

ADDED, REMOVED, CHANGED = "added", "removed", "changed"
_PIECE = 1 << 20


class Difference(NamedTuple):
    """`what` is a path, a field or a package; `before` and `after` are values in words, "" where there is none."""

    how: str
    what: str
    before: str = ""
    after: str = ""


class Differences(NamedTuple):
    """`shared` layers are the same from the lowest on. Empty tuples: no difference."""

    shared: int
    layers: tuple[Difference, ...]
    config: tuple[Difference, ...]
    history: tuple[Difference, ...]
    files: tuple[Difference, ...]
    packages: tuple[Difference, ...]

    @property
    def is_empty(self) -> bool:
        return not (self.layers or self.config or self.history or self.files or self.packages)


def compare(store: Store, before: Image, after: Image) -> Differences:
    """Look at both images; the files of layers that they share are not read.

    Raises:
        NoSuchSnapshot, BlobNotFound, Corrupt: an image is damaged.
    """
    with store.leases.hold(f"compare {before.id.short} and {after.id.short}"):
        old, new = ImageTree(store, before.config.chain_id), ImageTree(store, after.config.chain_id)
        versions = [{f"{one.manager}: {one.name}": one.version for one in packages(tree)} for tree in (old, new)]
        shared = _shared(before.config.diff_ids, after.config.diff_ids)
        return Differences(
            shared,
            tuple(_layers(before.config.diff_ids[shared:], after.config.diff_ids[shared:])),
            tuple(of_maps(_fields(before.config.raw), _fields(after.config.raw))),
            tuple(_history(before, after)),
            tuple(_files(old, new)),
            tuple(of_maps(*versions)),
        )


def of_maps(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    """What is different between two maps, by key. Pure."""
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old is None:
            yield Difference(ADDED, key, "", new or "")
        elif new is None:
            yield Difference(REMOVED, key, old, "")
        elif old != new:
            yield Difference(CHANGED, key, old, new)


def _shared(before: tuple[Digest, ...], after: tuple[Digest, ...]) -> int:
    count = 0
    while count < min(len(before), len(after)) and before[count] == after[count]:
        count += 1
    return count


def _layers(before: tuple[Digest, ...], after: tuple[Digest, ...]) -> Iterator[Difference]:
    for digest in before:
        yield Difference(REMOVED, str(digest))
    for digest in after:
        yield Difference(ADDED, str(digest))


def _fields(raw: bytes) -> dict[str, str]:
    """The configuration without its layers and its history, one entry for each variable, label, field."""
    document = parse_object(raw, what="configuration")
    fields: dict[str, str] = {}
    for key, value in document.items():
        if key in ("rootfs", "history"):
            continue
        if key == "config" and isinstance(value, dict):
            for name, inner in value.items():
                fields |= _field(name, inner)
        else:
            fields |= _field(key, value)
    return fields


def _field(name: str, value: object) -> dict[str, str]:
    if name == "Env" and isinstance(value, list):
        return {f"Env {text.partition('=')[0]}": text.partition("=")[2] for text in map(str, value)}
    if name in ("Labels", "ExposedPorts", "Volumes") and isinstance(value, dict):
        return {f"{name} {key}": inner if isinstance(inner, str) else "" for key, inner in value.items()}
    if value in (None, "", [], {}, False):
        return {}
    return {name: value if isinstance(value, str) else dumps(value).decode()}


def _history(before: Image, after: Image) -> Iterator[Difference]:
    old = [line.created_by or line.comment for line in before.config.history]
    new = [line.created_by or line.comment for line in after.config.history]
    same = 0
    while same < min(len(old), len(new)) and old[same] == new[same]:
        same += 1
    for text in old[same:]:
        yield Difference(REMOVED, text)
    for text in new[same:]:
        yield Difference(ADDED, text)


def _files(before: ImageTree, after: ImageTree) -> Iterator[Difference]:
    """What is different in the trees; parents come before what is in them."""
    ahead: list[tuple[str, Node | None, Node | None]] = [("", before.root, after.root)]
    while ahead:
        path, old, new = ahead.pop()
        if old is not None and new is not None:
            if old.parts == new.parts:
                continue
            if (detail := _change(old, new)) is not None:
                yield Difference(CHANGED, path or "/", *detail)
        elif path:
            yield Difference(ADDED if old is None else REMOVED, path)
        inner_old = before.children(old) if old is not None and old.is_directory else {}
        inner_new = after.children(new) if new is not None and new.is_directory else {}
        for name in sorted({*inner_old, *inner_new}, reverse=True):
            ahead.append((f"{path}/{name}", inner_old.get(name), inner_new.get(name)))


def _change(old: Node, new: Node) -> tuple[str, str] | None:
    """How two files that have the same path differ, times aside; None where they do not."""
    facts = [_facts(node) for node in (old, new)]
    names = [name for name in facts[0] if facts[0][name] != facts[1].get(name)]
    names += [name for name in facts[1] if name not in facts[0]]
    if names:
        before, after = (", ".join(f"{name} {fact[name]}" for name in names if name in fact) for fact in facts)
        return before, after
    if stat.S_ISREG(old.status.st_mode) and not _is_same(old.parts[0], new.parts[0]):
        return "", "content"
    return None


def _facts(node: Node) -> dict[str, str]:
    status = node.status
    mode = status.st_mode
    facts = {"type": stat.filemode(mode)[0], "owner": f"{status.st_uid}:{status.st_gid}"}
    if stat.S_ISLNK(mode):
        return {**facts, "target": os.readlink(node.parts[0])}
    facts["mode"] = f"{stat.S_IMODE(mode):04o}"
    if stat.S_ISREG(mode):
        facts["size"] = str(status.st_size)
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        facts["device"] = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    return facts


def _is_same(one: str, other: str) -> bool:
    with open(one, "rb", buffering=0) as first, open(other, "rb", buffering=0) as second:
        while piece := first.read(_PIECE):
            if piece != second.read(len(piece)):
                return False
    return True
