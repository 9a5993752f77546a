"""Who has which name in the networks of one container."""

from __future__ import annotations

import os
import time

from estiba.errors import EstibaError
from estiba.linux import links
from estiba.networks import naming
from estiba.networks.addresses import address_text
from estiba.networks.ledger import FILE, Ledger
from estiba.networks.names import message
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from estiba.networks.ledger import EndpointRow

_FRESH = 0.01
"""Seconds that a look counts, however much is asked."""
_PATIENCE = 0.1
"""Seconds that the container waits for others who write; what was known before holds where that is not enough."""
_AFTER_FAILURE = 1.0
_SETTLED = 50_000_000
"""Nanoseconds after a change in which another one may have the same time in the file system."""
_SHORT = 12


class Directory:
    """The names as `key` sees them: containers of its own networks that users defined.

    The ledger is read again when it has changed, however often names are asked for that nobody has.
    """

    def __init__(self, *, run: str, key: str) -> None:
        self.run = run
        self.key = key
        self._by_name: dict[str, list[EndpointRow]] = {}
        self._by_address: dict[str, str] = {}
        self._leads_out = False
        self._next_look = 0.0
        self._state: tuple[int, int, int] | None = None
        self._is_known = False
        self._turn = 0

    def find(self, name: str) -> tuple[str, ...]:
        """The addresses of the containers called `name` (or ``NAME.NETWORK``), in lower case. Several share the load:
        the first is another one each time.

        Raises:
            Unavailable, Corrupt: the ledger cannot be read, and never could.
        """
        self._look()
        rows = self._by_name.get(name, ())
        # Whoever has left since the last look has no link any more.
        found = [address_text(row.address) for row in rows if links.index_of(row.link) is not None]
        self._turn += 1
        at = self._turn % len(found) if found else 0
        return (*found[at:], *found[:at])

    def name_of(self, address: str) -> str:
        """``NAME.NETWORK`` of an address; "" when it is nobody's. Raises as `find`."""
        self._look()
        return self._by_address.get(address, "")

    def may_leave(self) -> bool:
        """Whether questions of this container may go to the outside: where one of its networks does. Raises as
        `find`."""
        self._look()
        return self._leads_out

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _FRESH
        state = self._changed()
        if state is not None and state == self._state:
            return
        try:
            self._read()
        except EstibaError:
            self._next_look = now + _AFTER_FAILURE
            if not self._is_known:
                raise
            return
        self._state = state

    def _changed(self) -> tuple[int, int, int] | None:
        """What tells one state of the ledger from another; None while the next may look the same."""
        try:
            status = os.stat(f"{self.run}/{FILE}")
        except OSError:
            return None
        is_settled = time.time_ns() - status.st_mtime_ns > _SETTLED
        return (status.st_ino, status.st_mtime_ns, status.st_size) if is_settled else None

    def _read(self) -> None:
        with Ledger(self.run, patience=_PATIENCE) as ledger:
            own = {row.network for row in ledger.endpoints(key=self.key)}
            leads_out = any(row.network in own and not row.internal for row in ledger.bridges())
            by_network = {name: ledger.endpoints(network=name) for name in sorted(own - {naming.DEFAULT_NETWORK})}
        by_name: dict[str, list[EndpointRow]] = {}
        by_address: dict[str, str] = {}
        for network, rows in by_network.items():
            for row in rows:
                by_address[address_text(row.address)] = _own_name(row, network)
                for name in sorted(set(_names(row))):
                    by_name.setdefault(name, []).append(row)
                    by_name.setdefault(f"{name}.{network}".lower(), []).append(row)
        self._by_name, self._by_address, self._leads_out, self._is_known = by_name, by_address, leads_out, True


def _names(row: EndpointRow) -> Iterator[str]:
    """Every name of a container, in lower case; one in other letters also as the programs ask for it that know these
    (RFC 5891)."""
    for name in (row.hostname, row.key[:_SHORT], *row.aliases.split()):
        if name:
            yield name.lower()
            if not name.isascii():
                yield message.in_ascii(name.lower())


def _own_name(row: EndpointRow, network: str) -> str:
    """What a container is called by its address; its id where its name is longer than a name may be."""
    whole = f"{row.hostname}.{network}".lower()
    return whole if row.hostname and message.encoded(whole) else f"{row.key[:_SHORT]}.{network}".lower()
