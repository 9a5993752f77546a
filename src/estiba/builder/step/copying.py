"""COPY, ADD and WORKDIR, done in a step's process on the filesystem that it has raised.

The rules are BuildKit's (Dockerfile reference, "COPY"): a directory gives its contents, which are merged with what is
there; a subdirectory that is there takes the attributes of the one that comes; a file replaces a file; a link at the
end of the destination is followed, inside the root.

From another stage everything that a layer keeps comes along: owners, hard links, extended attributes. From the context
only names, types, modes and contents count, which are what every checkout of the same source has.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator

from estiba.builder.context.globs import has_wildcard
from estiba.builder.context.ignore import exclusions
from estiba.builder.context.tree import Entry, Item, SourceTree, identity_of
from estiba.builder.step.job import CopyAction, DirectoryAction, Job, Place
from estiba.builder.step.modes import Mode
from estiba.builder.step.places import raise_place
from estiba.builder.step.users import owner_in
from estiba.builder.step.writing import Owner, RootWriter
from estiba.errors import Conflict, InvalidInput, PermissionDenied


def make_directory(job: Job, action: DirectoryAction, root: str) -> None:
    """WORKDIR: the directory and its parents, where they are missing."""
    owner = owner_in(root, action.owner)
    _check_owner(owner, "USER", action.owner)
    with RootWriter(root, parent_owner=owner, epoch=job.epoch) as writer:
        writer.make_directories(action.path)


def copy(job: Job, action: CopyAction, root: str) -> None:
    """COPY and ADD.

    Raises:
        InvalidInput: several sources and a destination that is no directory, or a file in a directory's place.
        NotFound: another stage does not have a source. Conflict: a file changed meanwhile.
        PermissionDenied: a file cannot be read, or this user cannot make files of another owner.
    """
    uid, gid = owner_in(root, action.owner)
    _check_owner((uid, gid), "--chown", action.owner)
    owner = Owner(None, None) if action.keeps_owner and not action.owner else Owner(uid, gid)
    mode = Mode(action.mode)
    # With one time for everything it is set at the end, when the layer is packed.
    with RootWriter(root, parent_owner=(uid, gid), epoch=job.epoch, stamps=job.epoch is None) as writer:
        for name, data, file_mode in action.contents:
            path = _target(writer, action.destination, name, several=len(action.contents) > 1)
            content = data.encode("utf-8", "surrogateescape")
            writer.file(path, mode.of(stat.S_IFREG | file_mode), (uid, gid), 0, content)
        for each in (action, *action.then):
            if not (each.patterns or each.items):
                continue
            tree = SourceTree(raise_place(each.source, f"{job.directory}/source"), label=each.label)
            try:
                _Copier(tree, writer, each, owner, mode).all(_items(tree, each))
            finally:
                tree.close()


def show(tree: SourceTree, item: Item, directory: str, *, epoch: int | None) -> str:
    """Copy one item of a tree below `directory`, owned by root; gives the path of the item itself."""
    destination = "/" if item.is_directory else f"/{item.name}"
    action = CopyAction(Place(), (), (item,), (), destination, "", "", False, (), False, False, tree.label)
    with RootWriter(directory, epoch=epoch) as writer:
        _Copier(tree, writer, action, Owner(0, 0), Mode("")).all((item,))
    return directory if item.is_directory else f"{directory}/{item.name}"


def carry(source: str, directory: str, *, owner: tuple[int, int]) -> None:
    """Copy everything below the directory `source` into `directory`, with its times; all of it belongs to `owner`."""
    tree = SourceTree(source, label="the image")
    try:
        items = tree.select("")
        action = CopyAction(Place(), (), items, (), "/", "", "", False, (), False, True, tree.label)
        with RootWriter(directory, parent_owner=owner) as writer:
            _Copier(tree, writer, action, Owner(*owner), Mode("")).all(items)
    finally:
        tree.close()


def _check_owner(owner: tuple[int, int], flag: str, text: str) -> None:
    if os.geteuid() != 0 and owner != (0, 0):
        raise PermissionDenied(
            f"{flag} {text}: only root can make files that belong to somebody else",
            remedy="Build as root. Without it everything in the image belongs to its root.",
        )


def _items(tree: SourceTree, action: CopyAction) -> tuple[Item, ...]:
    if action.items:
        return action.items
    exclude = exclusions(action.exclude)
    found: list[Item] = []
    for pattern in action.patterns:
        items = tree.select(pattern, exclude=exclude, keeps_parents=action.parents)
        if not items and has_wildcard(pattern):
            print(f"{pattern!r} matches nothing in {tree.label}", flush=True)
        found += items
    return tuple(found)


class _Copier:
    """Carries selected items into the root."""

    def __init__(self, tree: SourceTree, writer: RootWriter, action: CopyAction, owner: Owner, mode: Mode) -> None:
        self._tree = tree
        self._writer = writer
        self._action = action
        self._owner = owner
        self._mode = mode
        self._is_from_stage = action.keeps_owner
        self._first_paths: dict[tuple[int, int], str] = {}

    def all(self, items: tuple[Item, ...]) -> None:
        destination = self._action.destination
        several = len(items) > 1
        needs_directory = several and not all(item.is_directory for item in items)
        if needs_directory and not destination.endswith("/") and not self._writer.is_directory(destination):
            raise InvalidInput(
                f"{len(items)} sources cannot become the one file {destination}",
                remedy=f"End the destination in a slash: {destination}/",
            )
        for item in items:
            if self._action.unpack and not item.is_directory and self._unpacked(item):
                continue
            self._first_paths.clear()  # what one source links, another may overwrite
            for path, entry in self._placed(item, several):
                self._one(path, entry)

    def _placed(self, item: Item, several: bool) -> Iterator[tuple[str, Entry]]:
        """Each entry with the path that it gets: a directory gives its contents, a file itself."""
        base = self._action.destination
        if not item.is_directory:
            yield _target(self._writer, base, item.name, several=several), item.entries[0]
            return
        self._writer.make_directories(base)
        for entry in item.entries[1:]:
            yield posixpath.join(base, entry.path), entry

    def _one(self, path: str, entry: Entry) -> None:
        kind = stat.S_IFMT(entry.mode)
        owner = self._owner.of(entry.uid, entry.gid)
        mode = self._mode.of(entry.mode)
        mtime = entry.identity[3]
        if kind == stat.S_IFREG:
            self._file(path, entry, mode, owner, mtime)
        elif kind == stat.S_IFDIR:
            self._directory(path, entry, mode, owner, mtime)
        elif kind == stat.S_IFLNK:
            self._writer.link(path, entry.target, owner, mtime)
        elif kind != stat.S_IFSOCK:
            self._writer.special(path, mode, entry.device, owner, mtime)

    def _file(self, path: str, entry: Entry, mode: int, owner: tuple[int, int], mtime: int) -> None:
        if self._is_from_stage:
            inode = entry.identity[:2]
            first = self._first_paths.setdefault(inode, path)
            if first != path:
                self._writer.hard_link(path, first)
                return
        source = self._tree.open_file(entry)
        try:
            size = self._writer.file(
                path, mode, owner, mtime, source, size=entry.size, has_attributes=self._is_from_stage
            )
            found = os.fstat(source)
        finally:
            os.close(source)
        if size != entry.size or (identity_of(found) != entry.identity and not self._is_from_stage):
            raise Conflict(
                f"{entry.source} in {self._tree.label} changed while it was copied",
                remedy="Build again when nothing writes to it.",
            )

    def _directory(self, path: str, entry: Entry, mode: int, owner: tuple[int, int], mtime: int) -> None:
        if not self._is_from_stage:
            self._writer.directory(path, mode, owner, mtime)
            return
        source = self._tree.open_directory(entry.source)
        try:
            self._writer.directory(path, mode, owner, mtime, source)
        finally:
            os.close(source)

    def _unpacked(self, item: Item) -> bool:
        from estiba.builder.step.archives import unpack_if_archive

        source = self._tree.open_file(item.entries[0])
        try:
            return unpack_if_archive(source, self._writer, self._action.destination, self._owner)
        finally:
            os.close(source)


def _target(writer: RootWriter, destination: str, name: str, *, several: bool) -> str:
    """Where a file goes: into the destination if that is or must be a directory, else there, its links followed."""
    if several or destination.endswith("/") or writer.is_directory(destination):
        return posixpath.join(destination, name)
    return writer.resolve(destination)
