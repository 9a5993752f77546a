"""Where a server listens, as people write it."""

from __future__ import annotations

import re
from typing import NamedTuple

from estiba.errors import InvalidInput

_ADDRESS = re.compile(r"(?:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]*):)?([0-9]{1,5})")


class Address(NamedTuple):
    """A host and a port; port 0 lets the kernel choose a free one. IPv6 hosts are without brackets."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``HOST:PORT``, ``:PORT`` or ``PORT``; without a host it is 127.0.0.1.

        Raises:
            InvalidInput: another form, or a port over 65535.
        """
        found = _ADDRESS.fullmatch(text)
        if not found or int(found[2]) > 65535:
            raise InvalidInput(
                f"{text!r} is not an address to listen on",
                remedy="Write HOST:PORT, such as 127.0.0.1:5000 or [::1]:5000.",
            )
        return cls((found[1] or "127.0.0.1").strip("[]"), int(found[2]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
