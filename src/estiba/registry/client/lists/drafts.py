"""Drafts of lists on disk: ROOT/manifests/HEX.json, one file each, where HEX is of the list's name."""

from __future__ import annotations

import base64
import binascii
import fcntl
import os
from collections.abc import Callable

from estiba.errors import AlreadyExists, Corrupt, NotFound
from estiba.linux.private_directories import make_private
from estiba.oci.canonical_json import dumps
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.oci.json_fields import Fields, parse_object
from estiba.oci.reference import Reference
from estiba.registry.client.lists.draft import Draft, Entry
from estiba.store.paths import StorePaths
from estiba.store.scratch import Scratch, translated


class NoSuchList(NotFound):
    def __init__(self, name: Reference) -> None:
        super().__init__(
            f"no such manifest list: {name.familiar}", remedy="Make it: estiba manifest create LIST IMAGE..."
        )


class ListExists(AlreadyExists):
    def __init__(self, name: Reference) -> None:
        super().__init__(
            f"there is a list {name.familiar} already",
            remedy=f"Add to it with --amend, or forget it: estiba manifest rm {name.familiar}",
        )


class Drafts:
    """All drafts of a store, whose directories are made when the first is kept. Several processes may work on one
    list.
    """

    def __init__(self, paths: StorePaths) -> None:
        self._directory = paths.manifests
        self._scratch = Scratch(paths.tmp)

    def find(self, name: Reference) -> Draft | None:
        """The draft called `name`. Raises Corrupt: its file is damaged."""
        path = self._path(name)
        try:
            with open(path, "rb") as file:
                data = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise translated(error, path) from error
        return _parse(data, path)

    def get(self, name: Reference) -> Draft:
        """Raises NoSuchList, Corrupt."""
        found = self.find(name)
        if found is None:
            raise NoSuchList(name)
        return found

    def add(self, name: Reference, entries: tuple[Entry, ...], *, amends: bool) -> None:
        """Begin the list `name` with `entries`, or add them to it.

        Raises:
            ListExists: it was begun before, and `amends` is false.
        """

        def change(found: Draft | None) -> Draft:
            if found is not None and not amends:
                raise ListExists(name)
            return (found or Draft(name)).with_entries(entries)

        self._change(name, change)

    def change(self, name: Reference, change: Callable[[Draft], Draft]) -> None:
        """Replace the draft by what `change` makes of it. Raises NoSuchList, what `change` raises."""

        def with_list(found: Draft | None) -> Draft:
            if found is None:
                raise NoSuchList(name)
            return change(found)

        self._change(name, with_list)

    def remove(self, name: Reference) -> None:
        """Raises NoSuchList."""
        try:
            os.unlink(self._path(name))
        except (FileNotFoundError, NotADirectoryError):
            raise NoSuchList(name) from None
        except OSError as error:
            raise translated(error, self._path(name)) from error

    def _change(self, name: Reference, change: Callable[[Draft | None], Draft]) -> None:
        """One at a time: the directory is locked from the look to the replacement."""
        path = self._path(name)
        try:
            for directory in (self._directory, self._scratch.directory):
                make_private(directory)
            lock = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise translated(error, self._directory) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._scratch.publish(_render(change(self.find(name))), path)
        except OSError as error:
            raise translated(error, path) from error
        finally:
            os.close(lock)

    def _path(self, name: Reference) -> str:
        return f"{self._directory}/{Digest.of(str(name).encode()).hex[:32]}.json"


def _render(draft: Draft) -> bytes:
    entries = [
        {
            "source": str(entry.source),
            "descriptor": entry.descriptor.to_json(),
            "raw": base64.b64encode(entry.raw).decode(),
        }
        for entry in draft.entries
    ]
    return dumps({"name": str(draft.name), "entries": entries})


def _parse(data: bytes, path: str) -> Draft:
    fields = Fields(parse_object(data, what="manifest list"), what=f"manifest list {path}")
    entries = []
    for entry in fields.fields_list("entries"):
        descriptor = entry.fields("descriptor")
        if descriptor is None:
            entry.fail("descriptor", "required, but missing")
        try:
            raw = base64.b64decode(entry.text("raw"), validate=True)
        except binascii.Error:
            raise Corrupt(f"{path} is damaged", remedy="Remove it, and make the list again.") from None
        entries.append(Entry(Reference.parse(entry.text("source")), Descriptor.from_fields(descriptor), raw))
    return Draft(Reference.parse(fields.text("name")), tuple(entries))
