"""Where a registry is reached."""

from __future__ import annotations

import ipaddress
import re

from estiba.oci.reference import DEFAULT_REGISTRY
from estiba.values import NamedTuple

_DOCKER_HUB = "registry-1.docker.io"
_DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_PORT = re.compile(r":[0-9]+$")


class RegistryAddress(NamedTuple):
    """`registry` is its name in references, `url` what requests begin with, `key` its name in a credential file."""

    registry: str
    url: str
    key: str

    @classmethod
    def of(cls, registry: str) -> RegistryAddress:
        """Plain HTTP for loopback; else HTTPS."""
        if registry == DEFAULT_REGISTRY:
            return cls(registry, f"https://{_DOCKER_HUB}", _DOCKER_HUB_KEY)
        scheme = "http" if is_loopback(registry) else "https"
        return cls(registry, f"{scheme}://{registry}", registry)

    @property
    def encrypted(self) -> RegistryAddress:
        """The same over TLS."""
        return self._replace(url="https://" + self.url.partition("://")[2])

    @property
    def plain(self) -> RegistryAddress:
        """The same without TLS."""
        return self._replace(url="http://" + self.url.partition("://")[2])

    @property
    def is_encrypted(self) -> bool:
        return self.url.startswith("https:")


def is_loopback(registry: str) -> bool:
    """Whether a host with an optional port is this machine, by its name alone."""
    host = _PORT.sub("", registry).strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
