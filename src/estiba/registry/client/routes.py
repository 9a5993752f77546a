"""How registries are reached from this machine: mirrors, certificates, proxies, and those that may be insecure.

One value for every command, read by `wiring`; nothing here looks at the machine.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from estiba.errors import InvalidInput
from estiba.oci.reference import DEFAULT_REGISTRY
from estiba.web.proxies import NO_PROXIES, Proxies

CERTIFICATES = ("/etc/containers/certs.d", "/etc/docker/certs.d")


@dataclass(frozen=True, slots=True)
class Mirror:
    """A registry that holds what another has: HOST or HOST:PORT, and what stands before each repository there."""

    registry: str
    prefix: str = ""

    @classmethod
    def parse(cls, text: str) -> Mirror:
        """``HOST[:PORT][/PREFIX]``, also as a URL.

        Raises:
            InvalidInput.
        """
        registry, _, prefix = text.partition("://")[2].partition("/") if "://" in text else text.partition("/")
        if not registry or " " in text:
            raise InvalidInput(f"{text!r} is no mirror of a registry", remedy="Write HOST[:PORT][/PREFIX].")
        return cls(registry, prefix.strip("/"))

    def repository(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name


@dataclass(frozen=True, slots=True)
class Routes:
    """The settings.

    `insecure` are registries (HOST, HOST:PORT, or a network) whose certificate need not be valid, and which may speak
    plain HTTP. `mirrors` are asked before the registry itself, in order, when something is pulled. `certificates` are
    directories as in `certificates.tls_context`.
    """

    insecure: tuple[str, ...] = ()
    mirrors: Mapping[str, tuple[Mirror, ...]] = field(default_factory=dict)
    certificates: tuple[str, ...] = CERTIFICATES
    proxies: Proxies = NO_PROXIES

    def is_insecure(self, registry: str) -> bool:
        host = registry.rpartition(":")[0] if registry.rpartition(":")[2].isdigit() else registry
        return any(_is_meant(one, registry, host) for one in self.insecure)

    def sources(self, registry: str) -> tuple[Mirror, ...]:
        """Where to pull from, the registry itself last."""
        return (*self.mirrors.get(registry, ()), Mirror(registry))


DIRECT = Routes()


def parse_mirrors(texts: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[Mirror, ...]]:
    """Mirrors as people write them: the registry (``docker.io``) and its mirrors. Raises InvalidInput."""
    return {
        DEFAULT_REGISTRY if name in ("", "index.docker.io") else name: tuple(Mirror.parse(text) for text in mirrors)
        for name, mirrors in texts.items()
    }


def _is_meant(one: str, registry: str, host: str) -> bool:
    if one in (registry, host):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")) in ipaddress.ip_network(one)
    except ValueError:
        return False
