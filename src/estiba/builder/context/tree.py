"""Reading a source tree: the entries that a COPY selects from a directory, without following links out of it."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Iterator
from typing import NamedTuple

from estiba.builder.context.globs import has_wildcard, source_expression
from estiba.builder.context.ignore import IgnoreRules
from estiba.errors import Conflict, EstibaError, InvalidInput, NotFound, PermissionDenied, Unavailable
from estiba.linux.paths import open_in_root

_READ_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Entry(NamedTuple):
    """One file, directory, symbolic link or special file.

    `path` is relative to the selected item ("" is the item itself), `source` to the tree's root; `target` is where a
    link leads. `identity` is what a hash cache keys on: device, inode, size, mtime_ns, ctime_ns.
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
        self._kept: tuple[str, int] = ("", -1)  # the directory of the last file that was opened

    def close(self) -> None:
        self._forget_kept()
        os.close(self.root_fd)

    def select(
        self, pattern: str, *, exclude: IgnoreRules | None = None, keeps_parents: bool = False
    ) -> tuple[Item, ...]:
        """Everything that `pattern` (relative to the root) matches, in order of name.

        A link that the pattern itself names is followed inside the tree; links below a selected directory stay links.
        With `keeps_parents` there is one item for all, the directory before ``/./`` in the pattern, else the root, with
        just what matches in it and the directories above that; ``**`` then matches any number of directories.

        Raises:
            NotFound: there is no such path; names near ones, or the ignore rule that hides it. A pattern with wildcards
                may match nothing, as in ``COPY package.json package-lock.json* ./``.
            PermissionDenied: something cannot be read. InvalidInput: a path is too long.
        """
        if keeps_parents:
            return self._with_parents(pattern, exclude)
        cleaned = posixpath.normpath("/" + pattern).lstrip("/")
        if not has_wildcard(cleaned):
            item = self._item(cleaned, exclude)
            if item is None:
                raise self._missing(cleaned)
            return (item,) if item.is_directory or not _excludes(exclude, cleaned) else ()
        paths = self._matches("", cleaned, crosses=False)
        items = [item for path in paths if (item := self._item(path, exclude)) is not None]
        return tuple(item for item in items if item.is_directory or not _excludes(exclude, item.source))

    def _with_parents(self, pattern: str, exclude: IgnoreRules | None) -> tuple[Item, ...]:
        head, pivot, tail = pattern.partition("/./")
        if not pivot:
            head, tail = "", pattern
        head, tail = (posixpath.normpath("/" + part).lstrip("/") for part in (head, tail))
        bases = self._matches("", head, crosses=True) if has_wildcard(head) else [self._resolve(head)]
        items = [item for base in bases if (item := self._part(base, tail, exclude)) is not None]
        if not items and not has_wildcard(pattern):
            raise self._missing(f"{head}/{tail}".strip("/"))
        return tuple(items)

    def _part(self, base: str, pattern: str, exclude: IgnoreRules | None) -> Item | None:
        """The directory `base` with just what matches `pattern` in it; None where nothing does."""
        top = self._entry(base, "")
        if top is None or not top.is_directory:
            return None
        found: dict[str, Entry] = {}
        paths = self._matches(base, pattern, crosses=True)
        for path in paths:
            below = path[len(base) :].lstrip("/")
            entry = self._entry(path, below)
            if entry is None or _excludes(exclude, below):
                continue
            if not entry.is_directory and self._ignore.ignores(path):
                continue
            inside = list(self._walk(path, below, exclude)) if entry.is_directory else []
            if not inside and self._ignore.ignores(path):
                continue
            for above in _ancestors(below):
                parent = self._entry(self._join(base, above), above)
                if parent is not None:
                    found.setdefault(above, parent)
            if below:
                found.setdefault(below, entry)
            found.update((each.path, each) for each in inside)
        return Item(base, (top, *(found[path] for path in sorted(found, key=_by_component)))) if paths else None

    def _matches(self, base: str, pattern: str, *, crosses: bool) -> list[str]:
        """Paths below `base` that match, component by component; only directories that can lead to one are read."""
        found = [base]
        components = pattern.split("/") if pattern else []
        for number, component in enumerate(components):
            if component == "**" and crosses:
                found = [
                    inside for path in found for inside in self._directories(path, last=number + 1 == len(components))
                ]
                continue
            if not has_wildcard(component):
                found = [self._join(path, component) for path in found]
                found = [path for path in found if self._exists(path)]
                continue
            expression = source_expression(component)
            found = [
                self._join(path, name)
                for path in found
                if not self._is_pruned(path, "", None)
                for name in self._names(path)
                if expression.fullmatch(name)
            ]
        return sorted(dict.fromkeys(found), key=_by_component)

    def _directories(self, path: str, *, last: bool) -> Iterator[str]:
        """What ``**`` stands for below `path`: it and every directory in it, or at a pattern's end every file too."""
        if not last:
            yield path
        for entry in self._walk(path, "", None) if not self._is_pruned(path, "", None) else ():
            if last or entry.is_directory:
                yield entry.source

    def _names(self, directory: str) -> list[str]:
        try:
            descriptor = open_in_root(self.root_fd, directory or ".", os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise self._unreadable(directory, error) from None
        try:
            return sorted(os.listdir(descriptor))
        finally:
            os.close(descriptor)

    def _exists(self, path: str) -> bool:
        try:
            os.close(open_in_root(self.root_fd, path, os.O_PATH | os.O_NOFOLLOW))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise self._unreadable(path, error) from None
        return True

    @staticmethod
    def _join(base: str, name: str) -> str:
        return f"{base}/{name}" if base else name

    def _entry(self, source: str, path: str) -> Entry | None:
        """What is at `source`, a link itself; None where nothing is."""
        try:
            descriptor = open_in_root(self.root_fd, source or ".", os.O_PATH | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unreadable(source, error) from None
        try:
            status = os.fstat(descriptor)
            target = os.readlink("", dir_fd=descriptor) if stat.S_ISLNK(status.st_mode) else ""
        finally:
            os.close(descriptor)
        return _entry(path, source, status, target)

    def _item(self, path: str, exclude: IgnoreRules | None) -> Item | None:
        """What is at `path` with all below it; None where there is nothing, or it is ignored."""
        real = self._resolve(path)
        top = self._entry(real, "")
        if top is None or (real and self._ignore.ignores(real) and not (top.is_directory and not self._prunes(real))):
            return None
        if not top.is_directory:
            return Item(path, (top,))
        below = tuple(self._walk(real, "", exclude))
        if not below and real and self._ignore.ignores(real):
            return None
        return Item(path, (top, *below))

    def _prunes(self, path: str) -> bool:
        return self._ignore.prunes(path)

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
        """Entries under `directory` (relative to the root), sorted; an ignored one only where something in it is kept.

        Not recursive: a tree may be as deep as a path is long.
        """
        levels = [_Level(directory, below, iter(self._rows(directory)))]
        unsaid = 0
        while levels:
            level = levels[-1]
            for name, status, target in level.rows:
                source = f"{level.source}/{name}" if level.source else name
                path = f"{level.path}/{name}" if level.path else name
                hidden = self._ignore.ignores(source) or (exclude is not None and exclude.ignores(path))
                entry = _entry(path, source, status, target)
                is_directory = entry.is_directory
                if not hidden:
                    if unsaid:
                        for each in levels:
                            if each.unsaid is not None:
                                yield each.unsaid
                                each.unsaid = None
                        unsaid = 0
                    yield entry
                elif not is_directory or self._is_pruned(source, path, exclude):
                    continue
                if is_directory:
                    unsaid += hidden
                    levels.append(_Level(source, path, iter(self._rows(source)), entry if hidden else None))
                    break
            else:
                unsaid -= level.unsaid is not None
                levels.pop()

    def _rows(self, directory: str) -> list[tuple[str, os.stat_result, str]]:
        """What is in a directory, sorted as bytes: names, what they are, and where links lead."""
        descriptor = self.open_directory(directory)
        try:
            with os.scandir(descriptor) as listing:
                rows = [(each.name, each.stat(follow_symlinks=False)) for each in listing]
            rows.sort(key=lambda row: os.fsencode(row[0]))
            return [
                (name, s, os.readlink(name, dir_fd=descriptor) if stat.S_ISLNK(s.st_mode) else "") for name, s in rows
            ]
        except OSError as error:
            raise self._unreadable(directory, error) from None
        finally:
            os.close(descriptor)

    def open_directory(self, path: str) -> int:
        """A descriptor of the directory `path`, which is no link.

        Raises:
            PermissionDenied, InvalidInput, Conflict: it cannot be opened.
        """
        try:
            return open_in_root(self.root_fd, path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise self._unreadable(path, error) from None

    def open_file(self, entry: Entry) -> int:
        """A descriptor to read a regular file of this tree.

        Raises:
            PermissionDenied: this user may not read it. Conflict: it is not there any more, or something else.
        """
        directory, slash, name = entry.source.rpartition("/")
        try:
            if slash and directory != self._kept[0]:
                descriptor = open_in_root(self.root_fd, directory, os.O_RDONLY | os.O_DIRECTORY)
                self._forget_kept()
                self._kept = (directory, descriptor)
            place = self._kept[1] if slash else self.root_fd
            return os.open(name, _READ_FILE, dir_fd=place)
        except OSError as error:
            raise self._unreadable(entry.source, error) from None

    def _forget_kept(self) -> None:
        if self._kept[1] >= 0:
            os.close(self._kept[1])
        self._kept = ("", -1)

    def _unreadable(self, path: str, error: OSError) -> EstibaError:
        if error.errno == errno.ENAMETOOLONG:
            return InvalidInput(f"a path in {self.label} is too long: {path[:100]}… has {len(os.fsencode(path))} bytes")
        if error.errno in (errno.EACCES, errno.EPERM):
            return PermissionDenied(
                f"cannot read {path or '.'} in {self.label}: {error.strerror}",
                remedy="Make it readable for this user, or leave it out with a line in .dockerignore.",
            )
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO):
            return Unavailable(f"cannot read {path or '.'} in {self.label}: {error.strerror}")
        return Conflict(
            f"{path or '.'} in {self.label} changed while it was read: {error.strerror}",
            remedy="Build again when nothing writes to it.",
        )

    def _is_pruned(self, source: str, path: str, exclude: IgnoreRules | None) -> bool:
        if source and self._ignore.ignores(source) and self._ignore.prunes(source):
            return True
        return exclude is not None and exclude.ignores(path) and exclude.prunes(path)

    def _missing(self, path: str) -> NotFound:
        return NotFound(f"{path!r} is not in {self.label}", remedy=self._hint(path))

    def _hint(self, path: str) -> str:
        hidden = self._hidden(path)
        if hidden and (has_wildcard(path) or self._exists(path)):
            return hidden
        from difflib import get_close_matches

        directory, _, name = path.rpartition("/")
        near = get_close_matches(name, self._names(directory), n=3)
        if near:
            paths = [f"{directory}/{each}" if directory else each for each in near]
            return f"Did you mean {' or '.join(map(repr, paths))}? {self._hidden(paths[0])}".rstrip()
        return hidden or "Paths are relative to the source's root; see what is there, and .dockerignore."

    def _hidden(self, path: str) -> str:
        """The rule that leaves `path` out, "" where none does."""
        rule = self._ignore.hidden_by(path)
        return f"Line {rule.line} of .dockerignore ({rule.pattern!r}) leaves it out." if rule is not None else ""


class _Level:
    """A directory on the way of a walk; `unsaid` is its own entry while nothing in it was found to be kept."""

    __slots__ = ("path", "rows", "source", "unsaid")

    def __init__(
        self, source: str, path: str, rows: Iterator[tuple[str, os.stat_result, str]], unsaid: Entry | None = None
    ) -> None:
        self.source = source
        self.path = path
        self.rows = rows
        self.unsaid = unsaid


def identity_of(status: os.stat_result) -> tuple[int, int, int, int, int]:
    """What changes whenever a file's content does."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _entry(path: str, source: str, status: os.stat_result, target: str) -> Entry:
    return Entry(
        path,
        source,
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_size,
        target,
        status.st_rdev,
        identity_of(status),
    )


def _excludes(exclude: IgnoreRules | None, path: str) -> bool:
    """Whether ``--exclude`` leaves out a file that the source names itself, by its path or by its name."""
    return exclude is not None and (exclude.ignores(path) or exclude.ignores(posixpath.basename(path)))


def _ancestors(path: str) -> Iterator[str]:
    """The directories above `path`, the highest first."""
    parts = path.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        yield "/".join(parts[:count])


def _by_component(path: str) -> list[bytes]:
    return os.fsencode(path).split(b"/")
