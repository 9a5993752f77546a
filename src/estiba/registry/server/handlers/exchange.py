"""What a handler is given: the request, where it leads, and who asks."""

from __future__ import annotations

from typing import NamedTuple

from aiohttp import web

from estiba.registry.protocol.names import check_repository
from estiba.registry.server.registry import Registry


class Exchange(NamedTuple):
    """`argument` is the path's last variable part (a tag, digest or session); `user` is "" for anybody."""

    registry: Registry
    request: web.BaseRequest
    name: str
    argument: str
    user: str

    @property
    def repository(self) -> str:
        """Raises: ProtocolError: NAME_INVALID."""
        return check_repository(self.name)
