"""Who has which name in the networks of one container."""

from __future__ import annotations

import time

from estiba.linux import links
from estiba.networks import naming
from estiba.networks.addresses import address_text
from estiba.networks.ledger import Ledger
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.networks.ledger import EndpointRow

# Seconds that a look into the ledger counts: for names that were found in it, and for others.
_FRESH = 1.0
_FRESH_FOR_UNKNOWN = 0.01
_SHORT = 12


class Directory:
    """The names as `key` sees them: containers of its own networks that users defined."""

    def __init__(self, *, run: str, key: str) -> None:
        self._run = run
        self._key = key
        self._by_name: dict[str, list[EndpointRow]] = {}
        self._by_address: dict[str, str] = {}
        self._read = 0.0
        self.leads_out = False  # whether one of the networks does

    def find(self, name: str) -> tuple[str, ...]:
        """The addresses of the containers called `name` (or ``NAME.NETWORK``), in lower case."""
        self._look(_FRESH)
        if name not in self._by_name:
            self._look(_FRESH_FOR_UNKNOWN)
        rows = self._by_name.get(name, ())
        # Whoever has left since the last look has no link any more.
        return tuple(address_text(row.address) for row in rows if links.index_of(row.link) is not None)

    def name_of(self, address: str) -> str:
        """``NAME.NETWORK`` of an address; "" when it is nobody's."""
        self._look(_FRESH)
        if address not in self._by_address:
            self._look(_FRESH_FOR_UNKNOWN)
        return self._by_address.get(address, "")

    def may_leave(self) -> bool:
        """Whether questions of this container may go to the outside."""
        self._look(_FRESH)
        return self.leads_out

    def _look(self, freshness: float) -> None:
        now = time.monotonic()
        if self._read and now - self._read < freshness:
            return
        self._read = now
        by_name: dict[str, list[EndpointRow]] = {}
        by_address: dict[str, str] = {}
        with Ledger(self._run) as ledger:
            own = {row.network for row in ledger.endpoints(key=self._key)}
            self.leads_out = any(row.network in own and not row.internal for row in ledger.bridges())
            for network in sorted(own - {naming.DEFAULT_NETWORK}):
                for row in ledger.endpoints(network=network):
                    by_address[address_text(row.address)] = f"{row.hostname}.{network}".lower()
                    for name in {row.hostname, row.key[:_SHORT], *row.aliases.split()} - {""}:
                        by_name.setdefault(name.lower(), []).append(row)
                        by_name.setdefault(f"{name}.{network}".lower(), []).append(row)
        self._by_name, self._by_address = by_name, by_address
