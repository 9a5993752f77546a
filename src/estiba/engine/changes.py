"""What a container has changed of its image's files, as `docker diff` tells it; read without mounting anything."""

from __future__ import annotations

import os
import stat

from estiba.engine.monitor.init import PLACE as INIT
from estiba.engine.removal import snapshot_key
from estiba.image.tree import ImageTree, Node, is_opaque, is_whiteout
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from estiba.engine.engine import Engine
    from estiba.store.store import Store

ADDED, CHANGED, DELETED = "A", "C", "D"

PLACES_OF_FILES = frozenset(("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", INIT))
"""Empty files that are there only because something is mounted on them at every start."""
PLACES_OF_DIRECTORIES = frozenset(
    ("/dev", "/proc", "/sys", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys/fs", "/sys/fs/cgroup", "/sbin")
)
"""The same as directories."""


class Change(NamedTuple):
    """`kind` is one of the three letters; `path` is absolute, inside the container."""

    kind: str
    path: str


def changes(engine: Engine, text: str) -> list[Change]:
    """The changes by their paths; of a running container, as they are at this moment.

    Raises:
        NoSuchContainer.
    """
    record = engine.find(text)
    return changes_of(engine.store, snapshot_key(record.id))


def changes_of(store: Store, key: str) -> list[Change]:
    """The changes of the active snapshot `key`. Raises NoSuchSnapshot."""
    parent = store.snapshots.get(key).parent
    tree, base = store.snapshots.change(key)
    lower = ImageTree(store, parent)
    if base:
        return _of_copies(base, tree)
    return sorted(_below(tree, lower, lower.root, ""), key=lambda change: change.path)


def is_only_a_place(path: str, status: os.stat_result, *, is_empty: bool) -> bool:
    """Whether a file that the image does not have is there only to be mounted on."""
    if stat.S_ISREG(status.st_mode):
        return path in PLACES_OF_FILES and not status.st_size
    return stat.S_ISDIR(status.st_mode) and path in PLACES_OF_DIRECTORIES and is_empty


def _below(directory: str, lower: ImageTree, node: Node | None, name: str) -> Iterator[Change]:
    """Compare the overlay's own `directory` with what the image has there (None: nothing)."""
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    hidden = set(lower.children(node)) if node is not None and node.is_directory and is_opaque(directory) else set()
    for entry in entries:
        path = f"{name}/{entry.name}"
        hidden.discard(entry.name)
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        before = lower.child(node, entry.name) if node is not None and node.is_directory else None
        if is_whiteout(status):
            if before is not None:
                yield Change(DELETED, path)
            continue
        if not stat.S_ISDIR(status.st_mode):
            if before is not None or not is_only_a_place(path, status, is_empty=True):
                yield Change(CHANGED if before is not None else ADDED, path)
            continue
        inner = list(_below(entry.path, lower, before, path))
        if before is None:
            if not is_only_a_place(path, status, is_empty=not inner):
                yield Change(ADDED, path)
        elif inner or not before.is_directory or _differs(before.status, status):
            yield Change(CHANGED, path)
        yield from inner
    for gone in sorted(hidden):
        yield Change(DELETED, f"{name}/{gone}")


def _differs(before: os.stat_result, after: os.stat_result) -> bool:
    """Whether a directory is another by itself; its times change with what is in it."""
    return (before.st_mode, before.st_uid, before.st_gid) != (after.st_mode, after.st_uid, after.st_gid)


def _of_copies(base: str, tree: str) -> list[Change]:
    """The changes between two whole trees (the copying snapshotter's)."""
    from estiba.layers.diff import changes_between

    found = changes_between(base, tree)
    told = {f"/{os.fsdecode(name)}": DELETED for name in found.deleted}
    alone: set[str] = set()
    for name in found.changed:
        path = f"/{os.fsdecode(name)}"
        if path == "/":
            continue
        status = os.lstat(tree + path)
        is_directory = stat.S_ISDIR(status.st_mode)
        try:
            before = os.lstat(base + path)
        except FileNotFoundError:
            if not is_only_a_place(path, status, is_empty=not is_directory or not os.listdir(tree + path)):
                told[path] = ADDED
            continue
        told[path] = CHANGED
        if is_directory and stat.S_ISDIR(before.st_mode) and not _differs(before, status):
            alone.add(path)
    return [Change(told[path], path) for path in sorted(told.keys() - _untold(told, alone))]


def _untold(told: dict[str, str], alone: set[str]) -> set[str]:
    """Those of the directories `alone`, which are changed by their times only, that have no change in them."""
    above: set[str] = set()
    untold: set[str] = set()
    for path in sorted(told, reverse=True):  # what is in a directory comes before it
        if path in alone and path not in above:
            untold.add(path)
            continue
        parent = os.path.dirname(path)
        while parent not in above and parent != "/":
            above.add(parent)
            parent = os.path.dirname(parent)
    return untold
