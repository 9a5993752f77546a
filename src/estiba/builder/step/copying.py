"""COPY, ADD and WORKDIR, done in a step's process on the filesystem that it has raised."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator

from estiba.builder.context.ignore import IgnoreRules, Rule
from estiba.builder.context.tree import Entry, Item, SourceTree
from estiba.builder.step.job import CopyAction, DirectoryAction, Job, Place
from estiba.builder.step.users import owner_in
from estiba.builder.step.writing import Owner, RootWriter
from estiba.errors import Conflict, InvalidInput
from estiba.linux.paths import open_in_root


def make_directory(job: Job, action: DirectoryAction, root: str) -> None:
    """WORKDIR: the directory and its parents, where they are missing."""
    owner = owner_in(root, action.owner)
    with RootWriter(root, parent_owner=owner, epoch=job.epoch) as writer:
        writer.make_directories(action.path)


def copy(job: Job, action: CopyAction, root: str) -> None:
    """COPY and ADD.

    Raises:
        InvalidInput: several sources and a destination that is no directory, or a file in a directory's place.
        NotFound: a pattern matches nothing in another stage. Conflict: a file changed meanwhile.
    """
    from estiba.builder.step.process import raise_place

    uid, gid = owner_in(root, action.owner)
    owner = Owner(None, None) if action.keeps_owner and not action.owner else Owner(uid, gid)
    mode = _mode(action.mode)
    with RootWriter(root, parent_owner=(uid, gid), epoch=job.epoch) as writer:
        for name, data, file_mode in action.contents:
            path = _target(writer, action.destination, name, several=len(action.contents) > 1)
            writer.file(path, mode or file_mode, (uid, gid), 0, data.encode("utf-8", "surrogateescape"))
        if not (action.patterns or action.items):
            return
        tree = SourceTree(raise_place(action.source, f"{job.directory}/source"), label=action.label)
        try:
            _Copier(tree, writer, action, owner, mode).all(_items(tree, action))
        finally:
            tree.close()


def show(tree: SourceTree, item: Item, directory: str, *, epoch: int | None) -> str:
    """Copy one item of a tree below `directory`, owned by root; gives the path of the item itself."""
    destination = "/" if item.is_directory else f"/{item.name}"
    action = CopyAction(Place(), (), (item,), (), destination, "", "", False, (), False, False, tree.label)
    with RootWriter(directory, epoch=epoch) as writer:
        _Copier(tree, writer, action, Owner(0, 0), None).all((item,))
    return directory if item.is_directory else f"{directory}/{item.name}"


def _items(tree: SourceTree, action: CopyAction) -> tuple[Item, ...]:
    if action.items:
        return action.items
    exclude = IgnoreRules(Rule(posixpath.normpath(p).lstrip("/"), False, 0) for p in action.exclude)
    return tuple(item for pattern in action.patterns for item in tree.select(pattern, exclude=exclude))


class _Copier:
    """Carries selected items into the root."""

    def __init__(
        self, tree: SourceTree, writer: RootWriter, action: CopyAction, owner: Owner, mode: int | None
    ) -> None:
        self._tree = tree
        self._writer = writer
        self._action = action
        self._owner = owner
        self._mode = mode

    def all(self, items: tuple[Item, ...]) -> None:
        destination = self._action.destination
        several = len(items) > 1
        if several and not destination.endswith("/") and not self._writer.is_directory(destination):
            raise InvalidInput(
                f"{len(items)} sources cannot become the one file {destination}",
                remedy=f"End the destination in a slash: {destination}/",
            )
        for item in items:
            if self._action.unpack and not item.is_directory and self._unpacked(item):
                continue
            for path, entry in self._placed(item, several):
                self._one(path, entry)

    def _placed(self, item: Item, several: bool) -> Iterator[tuple[str, Entry]]:
        """Each entry with the path that it gets: a directory gives its contents, a file itself."""
        base = self._action.destination
        if self._action.parents:
            base = posixpath.join(base, _kept_parents(item.source))
            if not item.is_directory:
                yield base, item.entries[0]
                return
        if not item.is_directory:
            yield _target(self._writer, base, item.name, several=several), item.entries[0]
            return
        if not self._writer.is_directory(base):
            self._writer.make_directories(base)
        for entry in item.entries[1:]:
            yield posixpath.join(base, entry.path), entry

    def _one(self, path: str, entry: Entry) -> None:
        owner = self._owner.of(entry.uid, entry.gid)
        mode = entry.mode if self._mode is None else stat.S_IFMT(entry.mode) | self._mode
        mtime = entry.identity[3]
        if entry.is_directory:
            self._writer.directory(path, mode, owner, mtime)
        elif entry.is_file:
            source = self._open(entry)
            try:
                size = self._writer.file(path, mode, owner, mtime, source)
            finally:
                os.close(source)
            if size != entry.size:
                raise Conflict(
                    f"{entry.source} changed while it was copied: {entry.size} bytes became {size}",
                    remedy="Build again when nothing writes to the context.",
                )
        elif stat.S_ISLNK(entry.mode):
            self._writer.link(path, entry.target, owner, mtime)
        elif not stat.S_ISSOCK(entry.mode):
            self._writer.special(path, mode, entry.device, owner, mtime)

    def _open(self, entry: Entry) -> int:
        return open_in_root(self._tree.root_fd, entry.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)

    def _unpacked(self, item: Item) -> bool:
        from estiba.builder.step.archives import unpack_if_archive

        source = self._open(item.entries[0])
        try:
            return unpack_if_archive(source, self._writer, self._action.destination, self._owner)
        finally:
            os.close(source)


def _target(writer: RootWriter, destination: str, name: str, *, several: bool) -> str:
    """Where a file goes: into the destination if that is or must be a directory, else there, its links followed."""
    if several or destination.endswith("/") or writer.is_directory(destination):
        return posixpath.join(destination, name)
    return writer.resolve(destination)


def _kept_parents(source: str) -> str:
    _, dot, after = source.partition("/./")
    return after if dot else source


def _mode(text: str) -> int | None:
    if not text:
        return None
    try:
        return int(text, 8)
    except ValueError:
        raise InvalidInput(f"--chmod={text} is not an octal mode", remedy="Write it as in --chmod=755.") from None
