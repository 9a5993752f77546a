"""The trash of volumes: what was removed by hand lies there for a time, and can be taken back.

    volumes/NAME ──remove──▶ trash/ID/NAME ──undo──▶ volumes/NAME
                                   └──the time is over, gc; or `volume trash empty`──▶ gone

A row of `state.db` says what lies in trash/ID. Directories move while the row's transaction is open, so after a kill
there may be a directory without a row: its removal never happened, and `take_back` undoes the rest of it. A row without
a directory is that of one which was being taken back, or emptied.
"""

from __future__ import annotations

import os
import time

from estiba.errors import AlreadyExists, InvalidInput, NotFound
from estiba.oci import json_text
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from sqlite3 import Connection

    from estiba.store.store import Store

SCHEMA = (
    """
    CREATE TABLE volume_trash (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        created REAL NOT NULL,
        is_anonymous INTEGER NOT NULL,
        labels TEXT NOT NULL,
        removed REAL NOT NULL,
        expires REAL NOT NULL
    ) WITHOUT ROWID
    """,
)

_DAY = 24 * 3600.0


class NotInTrash(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is no volume {name} in the trash", remedy="See those that there are with: estiba volume trash ls"
        )


class VolumeThere(AlreadyExists):
    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is a volume {name} again",
            remedy=f"Give the other one a new name: estiba volume undo {name} --as NEW",
        )


class Trashed(NamedTuple):
    """A removed volume. Times in seconds since 1970; `directory` holds its files until it `expires`."""

    id: str
    name: str
    created: float
    is_anonymous: bool
    labels: Mapping[str, str]
    removed: float
    expires: float
    directory: str

    def has_expired(self, now: float) -> bool:
        return self.expires <= now


def parse_time(text: str) -> float:
    """Seconds of ``7d``, ``12h``, ``90m``, ``3600``; ``0``: nothing is kept.

    Raises:
        InvalidInput: it is no time.
    """
    from estiba.engine.quantities import parse_duration

    days, is_days, rest = text.strip().partition("d")
    if not is_days:
        return parse_duration(text)
    try:
        seconds = float(days) * _DAY
    except ValueError:
        seconds = -1
    if not 0 <= seconds < float("inf"):
        raise InvalidInput(f"invalid time {text!r}", remedy="Give days, hours or minutes: 7d, 12h, 90m.")
    return seconds + (parse_duration(rest) if rest else 0)


class Trash:
    """The trash of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._database = store.database
        self._root = store.paths.trash
        self._volumes = store.paths.volumes
        store.database.migrate("engine.volume_trash", SCHEMA)

    def put(self, name: str, *, created: float, is_anonymous: bool, labels: Mapping[str, str], keep: float) -> None:
        """Move the directory of volume `name` here for `keep` seconds; within the transaction that removes its row."""
        identifier = os.urandom(6).hex()
        now = time.time()
        row = (identifier, name, created, is_anonymous, json_text.dumps(dict(labels)), now, now + keep)
        with self._database.transaction() as connection:
            connection.execute("INSERT INTO volume_trash VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            os.makedirs(f"{self._root}/{identifier}", mode=0o700)
            _move(f"{self._volumes}/{name}", f"{self._root}/{identifier}/{name}")

    def all(self) -> list[Trashed]:
        """What can be taken back, what was removed last first."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT * FROM volume_trash ORDER BY removed DESC, id").fetchall()
        found = [self._trashed(row) for row in rows]
        return [one for one in found if os.path.isdir(f"{one.directory}/{one.name}")]

    def _trashed(self, row: tuple[str, str, float, int, str, float, float]) -> Trashed:
        identifier, name, created, is_anonymous, labels, removed, expires = row
        directory = f"{self._root}/{identifier}"
        said = json_text.loads(labels, what="labels")
        return Trashed(identifier, name, created, bool(is_anonymous), said, removed, expires, directory)

    def find(self, text: str) -> Trashed:
        """The one that was removed last of those called `text`, or with an ID or a name that begins so.

        Raises:
            NotInTrash.
        """
        everything = self.all()
        for one in everything:
            if text in (one.name, one.id):
                return one
        begins = [
            one for one in everything if len(text) >= 4 and (one.name.startswith(text) or one.id.startswith(text))
        ]
        if not begins or len({one.name for one in begins}) > 1:
            raise NotInTrash(text)
        return begins[0]

    def restore(self, text: str, *, name: str = "") -> str:
        """Make a volume of it again, under its own name or under `name`; gives that.

        Raises:
            NotInTrash. VolumeThere: the name is taken. InvalidInput: no name of a volume.
        """
        from estiba.engine.mount_syntax import checked_volume_name
        from estiba.linux.private_directories import make_private

        self.take_back()
        with self._database.transaction() as connection:
            found = self.find(text)
            name = checked_volume_name(name) if name else found.name
            taken = connection.execute("SELECT 1 FROM volumes WHERE name = ?", (name,)).fetchone()
            if taken or os.path.exists(f"{self._volumes}/{name}"):
                raise VolumeThere(name)
            connection.execute("DELETE FROM volume_trash WHERE id = ?", (found.id,))
            is_anonymous = found.is_anonymous and name == found.name
            row = (name, found.created, is_anonymous, json_text.dumps(dict(found.labels)))
            connection.execute("INSERT INTO volumes VALUES (?, ?, ?, ?)", row)
            make_private(self._volumes)
            _move(f"{found.directory}/{found.name}", f"{self._volumes}/{name}")
        _remove_empty(found.directory)
        return name

    def empty(self, which: Sequence[Trashed]) -> None:
        """Remove these for good."""
        from estiba.engine.volumes import take_away

        for one in which:
            with self._database.transaction() as connection:
                gone = connection.execute("DELETE FROM volume_trash WHERE id = ?", (one.id,)).rowcount
                if gone:
                    take_away(self._store, one.directory)

    def expired(self) -> list[Trashed]:
        """What has lain here for its time."""
        now = time.time()
        return [one for one in self.all() if one.has_expired(now)]

    def take_back(self, name: str = "") -> list[str]:
        """Put directories back whose removal was killed (those of volume `name`, or all); gives the volumes' names.

        Where the volume has a directory again, the other stays here as one that was removed.
        """
        if not self._holds(name):
            return []
        done: list[str] = []
        with self._database.transaction() as connection:
            known = {row[0] for row in connection.execute("SELECT id FROM volume_trash")}
            for identifier in sorted(os.listdir(self._root)):
                directory = f"{self._root}/{identifier}"
                for found in os.listdir(directory) if identifier not in known else ():
                    if name in ("", found):
                        self._take_back(connection, identifier, found)
                        done.append(found)
                _remove_empty(directory)
            self._settle(connection)
        return done

    def _settle(self, connection: Connection) -> None:
        """Rows without a directory: one that was being taken back lies in `volumes` without a row, and returns here; of
        one that was being emptied nothing is left.
        """
        for identifier, name in connection.execute("SELECT id, name FROM volume_trash").fetchall():
            here, there = f"{self._root}/{identifier}/{name}", f"{self._volumes}/{name}"
            if os.path.isdir(here):
                continue
            is_volume = connection.execute("SELECT 1 FROM volumes WHERE name = ?", (name,)).fetchone()
            if os.path.isdir(there) and not is_volume:
                os.makedirs(os.path.dirname(here), mode=0o700, exist_ok=True)
                _move(there, here)
            else:
                connection.execute("DELETE FROM volume_trash WHERE id = ?", (identifier,))

    def _holds(self, name: str) -> bool:
        """Whether there may be a directory for `take_back`: one called `name`, or any."""
        try:
            identifiers = os.listdir(self._root)
        except FileNotFoundError:
            return False
        return any(not name or os.path.isdir(f"{self._root}/{one}/{name}") for one in identifiers)

    def _take_back(self, connection: Connection, identifier: str, name: str) -> None:
        if os.path.isdir(f"{self._volumes}/{name}"):
            now = time.time()
            row = (identifier, name, now, False, "{}", now, now + 7 * _DAY)
            connection.execute("INSERT INTO volume_trash VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        else:
            _move(f"{self._root}/{identifier}/{name}", f"{self._volumes}/{name}")


def _move(source: str, target: str) -> None:
    """Rename, durably: the row that says so is durable too. A missing source is moved already."""
    try:
        os.rename(source, target)
    except FileNotFoundError:
        return
    for directory in (os.path.dirname(target), os.path.dirname(source)):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_empty(directory: str) -> None:
    try:
        os.rmdir(directory)
    except OSError:
        pass  # something lies in it
