"""Who has what on this machine until it is shut down: bridges, addresses and ports, in RUN/networks.db (SQLite).

    bridges     one row per network that has a device: its subnet, the size of its packets, whether it is internal
    endpoints   one row per container and network: address, MAC, the host's end of its link, who attached it, and the
                further names by which others in the network find it
    ports       one row per published port; its key is what the kernel's map has as key
    settings    what was changed below /proc/sys and what it was before, as a record

A row is written before the kernel is asked, and removed after; so what a killed process leaves in the kernel has a row.
Several processes work at once: every change happens in a transaction that begins with BEGIN IMMEDIATE.
"""

from __future__ import annotations

import os

from estiba.errors import Corrupt, EstibaError, Unavailable
from estiba.networks.firewall import Bridge, Published
from estiba.networks.ports import PortMapping
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from typing import Any
else:
    import _sqlite3 as sqlite3  # as the store's database does

FILE = "networks.db"
_PATIENCE = 30.0  # seconds to wait for other processes

_SCHEMA = """
CREATE TABLE IF NOT EXISTS bridges (
    network TEXT PRIMARY KEY, device TEXT NOT NULL, subnet TEXT NOT NULL, mtu INTEGER NOT NULL,
    internal INTEGER NOT NULL, last_address INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS endpoints (
    key TEXT, network TEXT, address INTEGER NOT NULL, mac TEXT NOT NULL, interface TEXT NOT NULL, link TEXT NOT NULL,
    hostname TEXT NOT NULL, owner INTEGER NOT NULL, owner_started INTEGER NOT NULL, aliases TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (key, network), UNIQUE (network, address)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ports (
    protocol TEXT, host_address TEXT, host_port INTEGER, address TEXT NOT NULL, container_port INTEGER NOT NULL,
    key TEXT NOT NULL, network TEXT NOT NULL, PRIMARY KEY (protocol, host_address, host_port)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, before TEXT NOT NULL, after TEXT NOT NULL) WITHOUT ROWID;
"""
_VERSION = 2
# Of containers that an earlier version started and that still run.
_FROM_1_TO_2 = "ALTER TABLE endpoints ADD COLUMN aliases TEXT NOT NULL DEFAULT ''"


class BridgeRow(NamedTuple):
    """A network that has a device on this host. `last_address` is the number of the last address given."""

    network: str
    device: str
    subnet: str
    mtu: int
    internal: bool
    last_address: int

    @property
    def rules(self) -> Bridge:
        return Bridge(self.device, self.subnet, self.internal)


class EndpointRow(NamedTuple):
    """A container in a network. `owner` and `owner_started` name the process that attached it; `aliases` are names with
    spaces between them."""

    key: str
    network: str
    address: int
    mac: str
    interface: str
    link: str
    hostname: str
    owner: int
    owner_started: int
    aliases: str = ""


class PortRow(NamedTuple):
    """A published port and whose it is."""

    published: Published
    key: str
    network: str


# By name, for a process of an earlier version goes on when a later one has added a column.
_OF_BRIDGES = ", ".join(BridgeRow._fields)
_OF_ENDPOINTS = ", ".join(EndpointRow._fields)
_OF_PORTS = "protocol, host_address, host_port, address, container_port, key, network"


class _Transaction:
    """Kept at the end of the `with` block, undone by an exception and where it cannot be kept."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __enter__(self) -> None:
        self._ledger.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._ledger.roll_back()
            return
        try:
            self._ledger.execute("COMMIT")
        except EstibaError:
            self._ledger.roll_back()
            raise


class Ledger:
    """The open database; as a context manager it closes itself. `patience` is how many seconds it waits for others.

    Raises:
        Unavailable: others keep it busy, or there is no space. Corrupt: it is damaged. So does every method.
    """

    def __init__(self, run: str, *, patience: float = _PATIENCE) -> None:
        self._path = os.path.join(run, FILE)
        os.makedirs(run, mode=0o700, exist_ok=True)
        try:
            self._database = sqlite3.connect(self._path, timeout=patience, isolation_level=None)
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from error
        try:
            # The run directory is gone after a crash of the machine, so nothing needs to reach the disk.
            self.execute("PRAGMA synchronous = OFF")
            if self._version() < _VERSION:
                self._migrate()
        except BaseException:
            self._database.close()
            raise

    def _version(self) -> int:
        ((version,),) = self.execute("PRAGMA user_version")
        return int(version)

    def _migrate(self) -> None:
        with self.transaction():
            version = self._version()  # another process may have done it while we waited for our turn
            if version < _VERSION:
                for statement in (_FROM_1_TO_2 if version else _SCHEMA).split(";"):
                    self.execute(statement)
                self.execute(f"PRAGMA user_version = {_VERSION}")

    @staticmethod
    def exists(run: str) -> bool:
        """Whether anybody in the run directory `run` has had a network."""
        return os.path.exists(os.path.join(run, FILE))

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def transaction(self) -> _Transaction:
        """One change that no other process sees half of; it waits for theirs.

        Raises:
            Unavailable: they took longer than half a minute, or there is no space; nothing is changed then.
        """
        return _Transaction(self)

    def execute(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and give all its rows."""
        try:
            found: list[tuple[Any, ...]] = self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from error
        return found

    def roll_back(self) -> None:
        """Undo what the transaction has done, unless SQLite has done so by itself, as it does where space is short."""
        if self._database.in_transaction:
            self.execute("ROLLBACK")

    # Bridges

    def bridges(self) -> list[BridgeRow]:
        rows = self.execute(f"SELECT {_OF_BRIDGES} FROM bridges ORDER BY network")
        return [
            BridgeRow(name, device, subnet, mtu, bool(inner), last) for name, device, subnet, mtu, inner, last in rows
        ]

    def bridge(self, network: str) -> BridgeRow | None:
        return next((row for row in self.bridges() if row.network == network), None)

    def put_bridge(self, row: BridgeRow) -> None:
        self.execute(f"INSERT OR REPLACE INTO bridges ({_OF_BRIDGES}) VALUES (?, ?, ?, ?, ?, ?)", row)

    def remove_bridge(self, network: str) -> None:
        self.execute("DELETE FROM bridges WHERE network = ?", (network,))

    # Endpoints

    def endpoints(self, *, network: str | None = None, key: str | None = None) -> list[EndpointRow]:
        rows = self.execute(
            f"SELECT {_OF_ENDPOINTS} FROM endpoints "
            "WHERE network = ifnull(?, network) AND key = ifnull(?, key) ORDER BY key, network",
            (network, key),
        )
        return [EndpointRow(*row) for row in rows]

    def add_endpoint(self, row: EndpointRow) -> None:
        self.execute(f"INSERT INTO endpoints ({_OF_ENDPOINTS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        self.execute("UPDATE bridges SET last_address = ? WHERE network = ?", (row.address, row.network))

    def rename(self, key: str, hostname: str) -> None:
        self.execute("UPDATE endpoints SET hostname = ? WHERE key = ?", (hostname, key))

    def remove_endpoint(self, key: str, network: str) -> None:
        self.execute("DELETE FROM endpoints WHERE key = ? AND network = ?", (key, network))

    # Ports

    def ports(self, *, key: str | None = None) -> list[PortRow]:
        rows = self.execute(f"SELECT {_OF_PORTS} FROM ports WHERE key = ifnull(?, key)", (key,))
        return [
            PortRow(Published(PortMapping(inner, outer, host, protocol), address), owner, network)
            for protocol, host, outer, address, inner, owner, network in rows
        ]

    def add_ports(self, rows: Iterable[PortRow]) -> None:
        for row in rows:
            m = row.published.mapping
            self.execute(
                f"INSERT INTO ports ({_OF_PORTS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    m.protocol,
                    m.host_address,
                    m.host_port,
                    row.published.address,
                    m.container_port,
                    row.key,
                    row.network,
                ),
            )

    def remove_ports(self, rows: Iterable[PortRow]) -> None:
        for row in rows:
            m = row.published.mapping
            self.execute(
                "DELETE FROM ports WHERE protocol = ? AND host_address = ? AND host_port = ?",
                (m.protocol, m.host_address, m.host_port),
            )

    # Settings

    def note_setting(self, name: str, before: str, after: str) -> None:
        """Remember the first value that was found, and the last one set."""
        self.execute(
            "INSERT INTO settings VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET after = excluded.after",
            (name, before, after),
        )

    def settings(self) -> list[tuple[str, str, str]]:
        return self.execute("SELECT name, before, after FROM settings ORDER BY name")

    def forget_settings(self, prefix: str) -> None:
        self.execute("DELETE FROM settings WHERE substr(name, 1, ?) = ?", (len(prefix), prefix))


def _unusable(path: str, error: sqlite3.Error) -> EstibaError:
    said = f"the record of networks {path} cannot be used: {error}"
    if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return Corrupt(said, remedy="Stop all containers and remove the file: it is made anew.")
    return Unavailable(
        said, remedy="Check the directory's owner and free space; when no container runs, the file may be removed."
    )
