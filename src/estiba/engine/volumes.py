"""Volumes: directories that outlive containers. A row in `state.db`, the files in ROOT/volumes/NAME/_data."""

from __future__ import annotations

import os
import time

from estiba.engine.paths import volume_data
from estiba.engine.trash import Trash
from estiba.errors import AlreadyExists, Conflict, NotFound
from estiba.oci import json_text
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from estiba.engine.records import Containers
    from estiba.store.store import Store

SCHEMA = (
    """
    CREATE TABLE volumes (
        name TEXT PRIMARY KEY,
        created REAL NOT NULL,
        is_anonymous INTEGER NOT NULL DEFAULT 0,
        labels TEXT NOT NULL DEFAULT '{}'
    ) WITHOUT ROWID
    """,
)


def take_away(store: Store, directory: str) -> None:
    """Move a directory into the scratch space at once, and remove it there; nothing happens where there is none.

    Whoever does the same meanwhile finds all of it or nothing.
    """
    from estiba.store.snapshots.trees import remove_tree

    descriptor, folder = store.scratch.folder("engine")
    try:
        os.rename(directory, f"{folder}/{os.path.basename(directory)}")
    except FileNotFoundError:
        pass
    finally:
        remove_tree(folder)
        os.close(descriptor)


def _has_files(directory: str) -> bool:
    try:
        with os.scandir(directory) as entries:
            return next(entries, None) is not None
    except FileNotFoundError:
        return False


class NoSuchVolume(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(f"no such volume: {name}", remedy="See those that there are with: estiba volume ls")


class VolumeInUse(Conflict):
    def __init__(self, name: str, users: list[str]) -> None:
        super().__init__(
            f"volume {name} is in use by {', '.join(users)}", remedy="Remove those containers first: estiba rm"
        )


class Volume(NamedTuple):
    """`created` is in seconds since 1970; `mountpoint` holds its files. Anonymous ones have a generated name."""

    name: str
    created: float
    is_anonymous: bool
    labels: Mapping[str, str]
    mountpoint: str


class Volumes:
    """All volumes of a store. What is removed lies in the trash for `keep` seconds unless another time is given."""

    def __init__(self, store: Store, containers: Containers, *, keep: float = 0) -> None:
        self._store = store
        self._database = store.database
        self._containers = containers
        self._root = store.paths.root
        self._keep = keep
        self.trash = Trash(store)
        store.database.migrate("engine.volumes", SCHEMA)

    def ensure(self, name: str, *, is_anonymous: bool = False, labels: Mapping[str, str] | None = None) -> Volume:
        """The volume `name`, made where it is missing.

        Raises:
            InvalidInput: no name of a volume.
        """
        from estiba.engine.mount_syntax import checked_volume_name
        from estiba.linux.private_directories import make_private

        checked_volume_name(name)
        if not os.path.isdir(volume_data(self._root, name)):
            self.trash.take_back(name)
        make_private(self._store.paths.volumes)
        os.makedirs(volume_data(self._root, name), mode=0o755, exist_ok=True)
        row = (name, time.time(), is_anonymous, json_text.dumps(dict(labels or {})))
        with self._database.transaction(durable=not is_anonymous) as connection:
            connection.execute("INSERT OR IGNORE INTO volumes VALUES (?, ?, ?, ?)", row)
        return self.get(name)

    def create(self, name: str, *, labels: Mapping[str, str] | None = None) -> Volume:
        """A new volume.

        Raises:
            AlreadyExists: there is one with this name and other labels.
        """
        volume = self.ensure(name, labels=labels)
        if labels and dict(volume.labels) != dict(labels):
            raise AlreadyExists(
                f"there is a volume {name} already, with other labels",
                remedy=f"Choose another name, or remove it first: estiba volume rm {name}",
            )
        return volume

    def get(self, name: str) -> Volume:
        """The volume `name`.

        Raises:
            NoSuchVolume.
        """
        with self._database.read() as connection:
            row = connection.execute("SELECT * FROM volumes WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise NoSuchVolume(name)
        return self._volume(row)

    def all(self) -> list[Volume]:
        """Every volume, by name."""
        with self._database.read() as connection:
            return [self._volume(row) for row in connection.execute("SELECT * FROM volumes ORDER BY name")]

    def users(self, name: str) -> list[str]:
        """Names of the containers that have the volume."""
        return self._containers.users_of_volume(name)

    def unused(self, *, also_named: bool) -> list[Volume]:
        """Volumes that no container has: the anonymous ones, or all."""
        return [v for v in self.all() if (v.is_anonymous or also_named) and not self.users(v.name)]

    def remove(self, name: str, *, keep: float | None = None, made_before: float = 0) -> bool:
        """Remove a volume; its files lie in the trash for `keep` seconds (0: they go at once; None: as is usual here).

        `made_before`, where it is given, spares a volume of the same name that was made since. Gives whether something
        lies in the trash: an empty volume has nothing to take back.

        Raises:
            NoSuchVolume. VolumeInUse: a container has it.
        """
        keep = self._keep if keep is None else keep
        with self._database.transaction() as connection:
            volume = self.get(name)
            if made_before and volume.created > made_before:
                raise NoSuchVolume(name)
            if users := self.users(name):
                raise VolumeInUse(name, users)
            connection.execute("DELETE FROM volumes WHERE name = ?", (name,))
            if keep > 0 and _has_files(volume.mountpoint):
                self.trash.put(
                    name, created=volume.created, is_anonymous=volume.is_anonymous, labels=volume.labels, keep=keep
                )
                return True
            # While nobody else can take the name; what a kill leaves of it after this is gone by the next removal.
            take_away(self._store, os.path.dirname(volume_data(self._root, name)))
        return False

    def _volume(self, row: tuple[str, float, int, str]) -> Volume:
        name, created, is_anonymous, labels = row
        marks = json_text.loads(labels, what="the labels of a volume")
        return Volume(name, created, bool(is_anonymous), marks, volume_data(self._root, name))
