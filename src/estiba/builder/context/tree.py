"""Reading a source tree: the entries that a COPY selects from a directory, without following links out of it."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator
from typing import NamedTuple

from estiba.builder.context.globs import has_wildcard, source_expression
from estiba.builder.context.ignore import IgnoreRules
from estiba.errors import NotFound, Unavailable
from estiba.linux.paths import open_in_root


class Entry(NamedTuple):
    """One file, directory, symbolic link or special file.

    `path` is relative to the selected item ("" is the item itself), `source` to the tree's root. `identity` is what a
    hash cache keys on: device, inode, size, mtime_ns, ctime_ns. `xattrs` are pairs of a name and the value's bytes in
    Latin-1.
    """

    path: str
    source: str
    mode: int
    uid: int
    gid: int
    size: int
    target: str
    device: int
    identity: tuple[int, int, int, int, int]

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)


class Item(NamedTuple):
    """What one source pattern matched once: a file alone, or a directory (`entries[0]`) with all below it, sorted."""

    source: str
    entries: tuple[Entry, ...]

    @property
    def is_directory(self) -> bool:
        return self.entries[0].is_directory

    @property
    def name(self) -> str:
        return posixpath.basename(self.source)


class SourceTree:
    """A directory to select from; `ignore` hides paths, the root itself never.

    `label` is what errors call it (``the build context``, ``stage build``). Close it after use.
    """

    def __init__(self, root: str, *, label: str, ignore: IgnoreRules | None = None) -> None:
        self.root = root
        self.label = label
        self._ignore = ignore or IgnoreRules()
        try:
            self.root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(f"cannot read {label} {root}: {error.strerror}") from None

    def close(self) -> None:
        os.close(self.root_fd)

    def select(self, pattern: str, *, exclude: IgnoreRules | None = None) -> tuple[Item, ...]:
        """Everything that `pattern` (relative to the root) matches, in order of name.

        A link that the pattern itself names is followed inside the tree; links below a selected directory stay links.

        Raises:
            NotFound: nothing matches; names near ones, or the ignore rule that hides it.
        """
        cleaned = posixpath.normpath("/" + pattern).lstrip("/")
        if not has_wildcard(cleaned):
            return (self._item(cleaned, exclude),)
        items = tuple(self._item(path, exclude) for path in self._matches(cleaned))
        if not items:
            raise NotFound(f"{pattern!r} matches nothing in {self.label}", remedy=self._hint(cleaned))
        return items

    def _matches(self, pattern: str) -> Iterator[str]:
        """Paths that match component by component; only directories that can lead to a match are read."""
        found = [""]
        for component in pattern.split("/"):
            if not has_wildcard(component):
                found = [self._join(base, component) for base in found]
                found = [path for path in found if self._exists(path)]
                continue
            expression = source_expression(component)
            found = [
                path
                for base in found
                for name in self._names(base)
                if expression.fullmatch(name) and not self._ignore.ignores(path := self._join(base, name))
            ]
        yield from sorted(found)

    def _names(self, directory: str) -> list[str]:
        try:
            descriptor = open_in_root(self.root_fd, directory or ".", os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return []
        try:
            return sorted(os.listdir(descriptor))
        finally:
            os.close(descriptor)

    def _exists(self, path: str) -> bool:
        try:
            os.close(open_in_root(self.root_fd, path, os.O_PATH))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    @staticmethod
    def _join(base: str, name: str) -> str:
        return f"{base}/{name}" if base else name

    def _item(self, path: str, exclude: IgnoreRules | None) -> Item:
        real = self._resolve(path)
        if path and self._ignore.ignores(real) and self._ignore.prunes(real):
            raise self._missing(path)
        try:
            descriptor = open_in_root(self.root_fd, real or ".", os.O_PATH | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            raise self._missing(path) from None
        try:
            status = os.fstat(descriptor)
            target = os.readlink("", dir_fd=descriptor) if stat.S_ISLNK(status.st_mode) else ""
            top = _entry("", real, status, target)
        finally:
            os.close(descriptor)
        if not top.is_directory:
            if self._ignore.ignores(real):
                raise self._missing(path)
            return Item(path, (top,))
        below = tuple(self._walk(real, "", exclude))
        if not below and path and self._ignore.ignores(real):
            raise self._missing(path)
        return Item(path, (top, *below))

    def _resolve(self, path: str) -> str:
        """Where `path` leads inside the tree when its links are followed."""
        try:
            descriptor = open_in_root(self.root_fd, path or ".", os.O_PATH)
        except OSError:
            return path
        try:
            real = os.readlink(f"/proc/self/fd/{descriptor}")
            root = os.readlink(f"/proc/self/fd/{self.root_fd}")
        finally:
            os.close(descriptor)
        if real == root:
            return ""
        return real[len(root.rstrip("/")) + 1 :]

    def _walk(self, directory: str, below: str, exclude: IgnoreRules | None) -> Iterator[Entry]:
        """Entries under `directory` (relative to the root), sorted; a parent only where something in it is kept."""
        descriptor = open_in_root(self.root_fd, directory or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        with os.scandir(descriptor) as listing:
            found = sorted(listing, key=lambda each: os.fsencode(each.name))
            rows = [(each.name, each.stat(follow_symlinks=False)) for each in found]
        try:
            targets = {name: os.readlink(name, dir_fd=descriptor) for name, s in rows if stat.S_ISLNK(s.st_mode)}
        finally:
            os.close(descriptor)
        for name, status in rows:
            source = f"{directory}/{name}" if directory else name
            path = f"{below}/{name}" if below else name
            hidden = self._ignore.ignores(source) or (exclude is not None and exclude.ignores(path))
            entry = _entry(path, source, status, targets.get(name, ""))
            if not entry.is_directory:
                if not hidden:
                    yield entry
                continue
            if not hidden:
                yield entry
                yield from self._walk(source, path, exclude)
            elif not self._is_pruned(source, path, exclude):
                kept = tuple(self._walk(source, path, exclude))
                if kept:
                    yield entry
                    yield from kept

    def _is_pruned(self, source: str, path: str, exclude: IgnoreRules | None) -> bool:
        if self._ignore.ignores(source) and self._ignore.prunes(source):
            return True
        return exclude is not None and exclude.ignores(path) and exclude.prunes(path)

    def _missing(self, path: str) -> NotFound:
        return NotFound(f"{path!r} is not in {self.label}", remedy=self._hint(path))

    def _hint(self, path: str) -> str:
        rule = self._ignore.hidden_by(path)
        if rule is not None:
            return f"Line {rule.line} of .dockerignore ({rule.pattern!r}) leaves it out."
        from difflib import get_close_matches

        directory, _, name = path.rpartition("/")
        near = get_close_matches(name, self._names(directory), n=3)
        if near:
            return (
                "Did you mean " + " or ".join(repr(f"{directory}/{each}" if directory else each) for each in near) + "?"
            )
        return "Paths are relative to the source's root; see what is there, and .dockerignore."


def _entry(path: str, source: str, status: os.stat_result, target: str) -> Entry:
    identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return Entry(
        path,
        source,
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_size,
        target,
        status.st_rdev,
        identity,
    )
