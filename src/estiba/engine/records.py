"""What is remembered of a container, and the table in `state.db` that holds it."""

from __future__ import annotations

from estiba.engine.lifecycle import EXITED, NEXT, RUNNING
from estiba.engine.names import looks_like_id
from estiba.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from estiba.oci import json_text
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from typing import Any

    from estiba.engine.options import ContainerOptions
    from estiba.engine.spec import Process
    from estiba.store.database import Database

SCHEMA = (
    """
    CREATE TABLE containers (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        image TEXT NOT NULL,
        image_id TEXT NOT NULL,
        created REAL NOT NULL,
        state TEXT NOT NULL,
        options TEXT NOT NULL,
        process TEXT NOT NULL,
        runtime TEXT NOT NULL,
        pid INTEGER NOT NULL DEFAULT 0,
        pid_start INTEGER NOT NULL DEFAULT 0,
        boot TEXT NOT NULL DEFAULT '',
        run TEXT NOT NULL DEFAULT '',
        started REAL NOT NULL DEFAULT 0,
        finished REAL NOT NULL DEFAULT 0,
        exit_code INTEGER NOT NULL DEFAULT 0,
        oom_killed INTEGER NOT NULL DEFAULT 0,
        error TEXT NOT NULL DEFAULT '',
        restarts INTEGER NOT NULL DEFAULT 0,
        stop_wanted INTEGER NOT NULL DEFAULT 0,
        network TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE container_volumes (
        container TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
        volume TEXT NOT NULL,
        target TEXT NOT NULL,
        PRIMARY KEY (container, target)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX container_volumes_by_volume ON container_volumes (volume)",
)


class NameTaken(AlreadyExists):
    def __init__(self, name: str, holder: str) -> None:
        super().__init__(
            f"the container name {name} is in use by container {holder[:12]}",
            remedy=f"Remove that container (estiba rm {name}), rename it, or choose another name.",
        )


class NoSuchContainer(NotFound):
    def __init__(self, text: str) -> None:
        super().__init__(f"no such container: {text}", remedy="See those that there are with: estiba ps -a")


class Joined(NamedTuple):
    """Where a running container is in a network."""

    network: str
    address: str
    prefix: int
    gateway: str
    mac: str
    aliases: tuple[str, ...] = ()


class Networking(NamedTuple):
    """How a running container is reached. `ports` are pairs (inside, "ADDRESS:PORT" outside), such as ("80/tcp", …);
    `others` are its networks besides the first."""

    network: str = ""
    address: str = ""
    prefix: int = 0
    gateway: str = ""
    mac: str = ""
    ports: tuple[tuple[str, str], ...] = ()
    aliases: tuple[str, ...] = ()
    others: tuple[Joined, ...] = ()

    def all(self) -> tuple[Joined, ...]:
        """Every network that it is in."""
        first = Joined(self.network, self.address, self.prefix, self.gateway, self.mac, self.aliases)
        return (first, *self.others) if self.network else self.others

    def to_text(self) -> str:
        return json_text.dumps(self._asdict())


class ContainerRecord(NamedTuple):
    """A row of `containers`. Times are seconds since 1970 with fractions, 0 where it has not happened.

    `options` and `process` are JSON (`ContainerOptions.to_json`, `Process` as a mapping). `runtime` is the runtime's
    command as JSON, "" for the usual one. `pid` and `pid_start` name the first process, on `boot`. `run` is the
    run directory of its last start.
    """

    id: str
    name: str
    image: str
    image_id: str
    created: float
    state: str
    options: str
    process: str
    runtime: str
    pid: int = 0
    pid_start: int = 0
    boot: str = ""
    run: str = ""
    started: float = 0
    finished: float = 0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    restarts: int = 0
    stop_wanted: bool = False
    network: str = ""

    def parsed_options(self) -> ContainerOptions:
        from estiba.engine.options import ContainerOptions

        return ContainerOptions.from_json(json_text.loads(self.options, what="a container's options"))

    def parsed_process(self) -> Process:
        return process_from_json(json_text.loads(self.process, what="a container's process"))

    def parsed_network(self) -> Networking:
        if not self.network:
            return Networking()
        value = json_text.loads(self.network, what="a container's network")
        ports = tuple((inside, outside) for inside, outside in value.pop("ports"))
        aliases = tuple(value.pop("aliases", ()))
        others = tuple(
            Joined(network, address, prefix, gateway, mac, tuple(names))
            for network, address, prefix, gateway, mac, names in value.pop("others", ())
        )
        return Networking(**value, ports=ports, aliases=aliases, others=others)


def process_from_json(value: dict[str, Any]) -> Process:
    """The value that `Process._asdict` and JSON came from."""
    fields: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in value.items()}
    fields["labels"] = tuple((name, text) for name, text in value["labels"])
    from estiba.engine.spec import Process

    return Process(**fields)


_COLUMNS = ", ".join(ContainerRecord._fields)


class Containers:
    """The table. Every method is one transaction, or a part of the caller's."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("engine.containers", SCHEMA)

    def add(self, record: ContainerRecord, *, volumes: tuple[tuple[str, str], ...] = (), durable: bool = True) -> None:
        """Remember a new container and its `volumes`, pairs (name, target).

        Raises:
            NameTaken: another container has the name.
        """
        marks = ", ".join("?" * len(record))
        with self._database.transaction(durable=durable) as connection:
            row = connection.execute("SELECT id FROM containers WHERE name = ?", (record.name,)).fetchone()
            if row:
                raise NameTaken(record.name, row[0])
            connection.execute(f"INSERT INTO containers ({_COLUMNS}) VALUES ({marks})", record)
            connection.executemany(
                "INSERT OR REPLACE INTO container_volumes VALUES (?, ?, ?)",
                [(record.id, volume, target) for volume, target in volumes],
            )

    def find(self, text: str) -> ContainerRecord:
        """The container with the id or name `text`, or the only one whose id begins with it.

        Raises:
            NoSuchContainer: there is none. InvalidInput: several ids begin with `text`.
        """
        with self._database.read() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM containers WHERE id = ? OR name = ? ORDER BY id = ? DESC",
                (text, text.removeprefix("/"), text),
            ).fetchall()
            if not rows and looks_like_id(text):
                rows = connection.execute(
                    f"SELECT {_COLUMNS} FROM containers WHERE id >= ? AND id < ? LIMIT 2", (text, text + "g")
                ).fetchall()
                if len(rows) > 1:
                    raise InvalidInput(f"several containers have ids that begin with {text}", remedy="Give more of it.")
        if not rows:
            raise NoSuchContainer(text)
        return _record(rows[0])

    def get(self, container_id: str) -> ContainerRecord | None:
        """The container with exactly this id."""
        with self._database.read() as connection:
            row = connection.execute(f"SELECT {_COLUMNS} FROM containers WHERE id = ?", (container_id,)).fetchone()
        return _record(row) if row else None

    def all(self, *, states: tuple[str, ...] = ()) -> list[ContainerRecord]:
        """All containers, or those in `states`, the newest first."""
        where = f"WHERE state IN ({', '.join('?' * len(states))})" if states else ""
        with self._database.read() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM containers {where} ORDER BY created DESC", states)
            return [_record(row) for row in rows]

    def set_running(self, container_id: str, *, durable: bool, **fields: float | str) -> None:
        """It runs: `pid`, `pid_start`, `boot`, `run`, `started`, `network`, `restarts`."""
        self._change(container_id, RUNNING, fields | {"error": ""}, durable=durable)

    def set_exited(self, container_id: str, *, durable: bool, **fields: float | str | bool) -> None:
        """It has ended: `exit_code`, `finished`, `oom_killed`, `error`."""
        self._change(container_id, EXITED, fields | {"pid": 0, "pid_start": 0, "network": ""}, durable=durable)

    def set_state(self, container_id: str, state: str, *, durable: bool = False, **fields: float | str | bool) -> None:
        """Enter `state`, as far as the life-cycle table allows.

        Raises:
            Conflict: it does not follow from the present one. NoSuchContainer: it is gone.
        """
        self._change(container_id, state, fields, durable=durable)

    def set_options(self, container_id: str, options: ContainerOptions) -> None:
        """It was changed; what is different holds from its next start."""
        text = json_text.dumps(options.to_json())
        with self._database.transaction() as connection:
            connection.execute("UPDATE containers SET options = ? WHERE id = ?", (text, container_id))

    def change_options(
        self, container_id: str, change: Callable[[ContainerOptions], ContainerOptions]
    ) -> ContainerOptions:
        """As `set_options`, with what `change` makes of what others may have changed meanwhile; gives that.

        Raises:
            NoSuchContainer: it is gone. What `change` raises; nothing is changed then.
        """
        with self._database.transaction():
            record = self.get(container_id)
            if record is None:
                raise NoSuchContainer(container_id[:12])
            options = change(record.parsed_options())
            self.set_options(container_id, options)
        return options

    def set_network(self, container_id: str, networking: Networking) -> None:
        """It is reached in another way from now on."""
        with self._database.transaction(durable=False) as connection:
            connection.execute("UPDATE containers SET network = ? WHERE id = ?", (networking.to_text(), container_id))

    def want_stop(self, container_id: str, wanted: bool) -> None:
        """Remember that a person stopped it (or started it again), for its restart policy."""
        with self._database.transaction(durable=False) as connection:
            connection.execute("UPDATE containers SET stop_wanted = ? WHERE id = ?", (wanted, container_id))

    def rename(self, container_id: str, name: str) -> None:
        """Give it another name.

        Raises:
            NameTaken: another container has it.
        """
        with self._database.transaction() as connection:
            row = connection.execute("SELECT id FROM containers WHERE name = ?", (name,)).fetchone()
            if row and row[0] != container_id:
                raise NameTaken(name, row[0])
            connection.execute("UPDATE containers SET name = ? WHERE id = ?", (name, container_id))

    def remove(self, container_id: str, *, durable: bool = True) -> None:
        """Forget it."""
        with self._database.transaction(durable=durable) as connection:
            connection.execute("DELETE FROM container_volumes WHERE container = ?", (container_id,))
            connection.execute("DELETE FROM containers WHERE id = ?", (container_id,))

    def volumes_of(self, container_id: str) -> list[tuple[str, str]]:
        """Pairs (volume, target) of a container."""
        with self._database.read() as connection:
            return connection.execute(
                "SELECT volume, target FROM container_volumes WHERE container = ? ORDER BY target", (container_id,)
            ).fetchall()

    def users_of_volume(self, volume: str) -> list[str]:
        """Names of the containers that have `volume`."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT DISTINCT c.name FROM container_volumes v JOIN containers c ON c.id = v.container "
                "WHERE v.volume = ? ORDER BY c.name",
                (volume,),
            )
            return [row[0] for row in rows]

    def _change(self, container_id: str, state: str, fields: dict[str, Any], *, durable: bool) -> None:
        assignments = ", ".join(f"{name} = ?" for name in ("state", *fields))
        with self._database.transaction(durable=durable) as connection:
            present = _state(connection, container_id)
            if state not in NEXT[present] and state != present:
                raise Conflict(
                    f"container {container_id[:12]} is {present}: it cannot become {state}",
                    remedy="Another command has just changed it. See what it is now: estiba ps -a",
                )
            connection.execute(
                f"UPDATE containers SET {assignments} WHERE id = ?", (state, *fields.values(), container_id)
            )


def _state(connection: sqlite3.Connection, container_id: str) -> str:
    row = connection.execute("SELECT state FROM containers WHERE id = ?", (container_id,)).fetchone()
    if row is None:
        raise NoSuchContainer(container_id[:12])
    return str(row[0])


def _record(row: tuple[Any, ...]) -> ContainerRecord:
    record = ContainerRecord(*row)
    return record._replace(oom_killed=bool(record.oom_killed), stop_wanted=bool(record.stop_wanted))
