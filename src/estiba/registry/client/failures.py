"""How a registry can fail a client, in words."""

from __future__ import annotations

from estiba.errors import Conflict, Corrupt, EstibaError, NotFound, PermissionDenied, Unavailable
from estiba.registry.protocol.errors import decode


class RegistryUnreachable(Unavailable):
    def __init__(self, url: str, reason: str, *, remedy: str = "") -> None:
        super().__init__(
            f"cannot reach the registry {url}: {reason}",
            remedy=remedy or "Check the registry's name, the network, and that the registry runs.",
        )


class RegistryFailed(Unavailable):
    """The registry answered, but with an error of its own."""


class RateLimited(Unavailable):
    """It wants us to wait for longer than anybody would wait in front of a terminal."""

    def __init__(self, registry: str, what: str, seconds: float, limit: str) -> None:
        super().__init__(
            f"the registry {registry} will not answer for {what} before {round(seconds / 60) or 1} minutes have passed"
            + (f" ({limit})" if limit else ""),
            remedy="Wait, log in with `estiba login` (most registries allow more then), or name a mirror.",
        )


class AccessDenied(PermissionDenied):
    """`reason` is what the registry said."""

    def __init__(self, registry: str, what: str, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"the registry {registry} denied access to {what}: {reason}",
            remedy=f"Check the name, and log in with `estiba login {registry}`.",
        )


class NotInRegistry(NotFound):
    def __init__(self, registry: str, what: str, reason: str) -> None:
        super().__init__(
            f"the registry {registry} does not have {what}: {reason}", remedy="Check the name and the tag."
        )


class Refused(Conflict):
    """The registry understood the request and will not do it."""


class UnexpectedContent(Corrupt):
    """What came is not what was announced."""


def from_status(status: int, body: bytes, *, registry: str, what: str) -> EstibaError:
    """The error for an answer that is none of those expected."""
    reported = decode(body)
    reason = "; ".join(f"{one.code}: {one.message}" if one.message else one.code for one in reported)
    reason = reason or f"status {status}"
    if status in (401, 403):
        return AccessDenied(registry, what, reason)
    if status == 404:
        return NotInRegistry(registry, what, reason)
    if status == 429 or status >= 500:
        return RegistryFailed(f"the registry {registry} failed for {what}: {reason}", remedy="Try again later.")
    return Refused(f"the registry {registry} refused {what}: {reason}")
