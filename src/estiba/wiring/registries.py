"""How registries are reached: one file and the environment, for every command that speaks to one.

``/etc/estiba/registries.toml``, then ``$XDG_CONFIG_HOME/estiba/registries.toml``, which adds to it; or the one file
that `ESTIBA_REGISTRIES` names:

    insecure = ["registry.lan:5000", "10.0.0.0/8"]     # certificates are not checked; plain HTTP will do
    certificates = ["/etc/docker/certs.d"]             # directories with HOST[:PORT]/ca.crt, client.cert, client.key

    [mirrors]
    "docker.io" = ["mirror.lan:5000/hub"]              # asked first when an image is pulled

Proxies are those of `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`; `ESTIBA_INSECURE_REGISTRIES` adds to `insecure`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from estiba.errors import InvalidInput
from estiba.registry.client.routes import CERTIFICATES, Routes, parse_mirrors
from estiba.web.proxies import Proxies

_SYSTEM = "/etc/estiba/registries.toml"
_KEYS = frozenset({"insecure", "certificates", "mirrors"})


class BadRegistriesFile(InvalidInput):
    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"{path}: {reason}", remedy="Its keys are insecure, certificates (lists of strings) and [mirrors]."
        )


def read_routes(environment: Mapping[str, str]) -> Routes:
    """The settings of this machine and user.

    Raises:
        BadRegistriesFile. InvalidInput: a proxy that is none.
    """
    insecure: list[str] = []
    certificates: list[str] = []
    mirrors: dict[str, tuple[str, ...]] = {}
    for path in _paths(environment):
        document = _load(path, is_wanted=bool(environment.get("ESTIBA_REGISTRIES")))
        insecure += _texts(path, document, "insecure")
        certificates += _texts(path, document, "certificates")
        named = document.get("mirrors", {})
        if not isinstance(named, dict):
            raise BadRegistriesFile(path, "mirrors is no table")
        mirrors |= {name: tuple(_texts(path, named, name)) for name in named}
    insecure += [text.strip() for text in environment.get("ESTIBA_INSECURE_REGISTRIES", "").split(",") if text.strip()]
    return Routes(
        insecure=tuple(insecure),
        mirrors=parse_mirrors(mirrors),
        certificates=tuple(certificates) or CERTIFICATES,
        proxies=Proxies.of(environment),
    )


def _paths(environment: Mapping[str, str]) -> tuple[str, ...]:
    if path := environment.get("ESTIBA_REGISTRIES"):
        return (path,)
    home = environment.get("XDG_CONFIG_HOME") or os.path.join(environment.get("HOME") or "/", ".config")
    return (_SYSTEM, os.path.join(home, "estiba", "registries.toml"))


def _load(path: str, *, is_wanted: bool) -> dict[str, object]:
    import tomllib

    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except (FileNotFoundError, NotADirectoryError) as error:
        if is_wanted:
            raise BadRegistriesFile(path, "there is no such file") from error
        return {}
    except OSError as error:
        raise BadRegistriesFile(path, f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadRegistriesFile(path, f"is no TOML: {error}") from error
    if unknown := sorted(set(document) - _KEYS):
        raise BadRegistriesFile(path, f"has the unknown key {unknown[0]!r}")
    return document


def _texts(path: str, document: Mapping[str, object], key: str) -> list[str]:
    value = document.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadRegistriesFile(path, f"{key} is no list of strings")
    return [item for item in value if isinstance(item, str)]
