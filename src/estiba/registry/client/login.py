"""Login: credentials are tried out, then kept."""

from __future__ import annotations

import asyncio

from estiba.errors import NotFound, PermissionDenied
from estiba.oci.reference import DEFAULT_REGISTRY
from estiba.registry.client.addresses import RegistryAddress
from estiba.registry.client.aws import EcrLogins
from estiba.registry.client.azure import exchange
from estiba.registry.client.connection import Patience, connect
from estiba.registry.client.credentials import CredentialFile, Login, NoCredentials, OneLogin
from estiba.registry.client.failures import AccessDenied, NotInRegistry
from estiba.registry.client.routes import DIRECT, Routes


class NoRegistry(NotFound):
    def __init__(self, registry: str, reason: str) -> None:
        super().__init__(
            f"{registry} is no registry of images: {reason}",
            remedy="Name the host that stands before the names of its images, such as ghcr.io or localhost:5000.",
        )


class LoginRefused(PermissionDenied):
    def __init__(self, registry: str, reason: str) -> None:
        super().__init__(
            f"the registry {registry} does not take this login: {reason}",
            remedy="Check the user and the password; many registries want a token in place of the password.",
        )


def login(
    registry: str,
    *,
    user: str,
    password: str,
    file: CredentialFile,
    patience: Patience | None = None,
    routes: Routes = DIRECT,
) -> str:
    """Ask `registry` whether it knows the user, and keep the login; gives where it is kept.

    Raises:
        LoginRefused: the registry does not know it; nothing was kept. NoRegistry, RegistryUnreachable.
    """
    given = Login(user, password)
    asyncio.run(_try(registry, given, patience, routes))
    return file.put(RegistryAddress.of(registry).key, given)


def logout(registry: str, *, file: CredentialFile) -> None:
    """Forget the login for `registry`. Raises NotFound where there is none."""
    file.remove(RegistryAddress.of(registry).key)


def registry_named(text: str) -> str:
    """A registry as people name it: none is Docker Hub; a URL is its host."""
    name = text.removeprefix("https://").removeprefix("http://").partition("/")[0]
    if name in ("", "index.docker.io", "registry-1.docker.io", "hub.docker.com"):
        return DEFAULT_REGISTRY
    return name


def login_to_azure(
    registry: str,
    *,
    access_token: str,
    tenant: str = "",
    file: CredentialFile,
    patience: Patience | None = None,
    routes: Routes = DIRECT,
) -> str:
    """Change a token of Microsoft Entra for one of an Azure Container Registry and keep that; gives where it is kept.

    The kept one is a refresh token: each command gets access tokens for it, as for any identity token.

    Raises:
        AccessDenied: the registry does not take it; nothing was kept. RegistryUnreachable.
    """
    given = asyncio.run(_exchange(registry, access_token, tenant, patience, routes))
    asyncio.run(_try(registry, given, patience, routes))
    return file.put(RegistryAddress.of(registry).key, given)


async def _exchange(registry: str, access_token: str, tenant: str, patience: Patience | None, routes: Routes) -> Login:
    async with connect(registry, credentials=NoCredentials(), patience=patience, routes=routes) as connection:
        return Login("", "", await exchange(connection, access_token=access_token, tenant=tenant))


def login_to_ecr(registry: str, *, patience: Patience | None = None, routes: Routes = DIRECT) -> None:
    """Ask AWS for a login and the registry whether it takes it. Nothing is kept: each command asks anew.

    Raises:
        NoBotocore, NoToken, LoginRefused. NoRegistry, RegistryUnreachable.
    """
    given = EcrLogins().get(registry)
    assert given is not None
    asyncio.run(_try(registry, given, patience, routes))


async def _try(registry: str, given: Login, patience: Patience | None, routes: Routes) -> None:
    try:
        async with (
            connect(registry, credentials=OneLogin(given), patience=patience, routes=routes) as connection,
            connection.request("GET", "/v2/", what="logging in", scopes=frozenset(), expect=(200,)) as response,
        ):
            is_page = response.content_type == "text/html"
            if is_page and "Docker-Distribution-Api-Version" not in response.headers:
                raise NoRegistry(registry, "it answered with a web page")
    except NotInRegistry as error:
        raise NoRegistry(registry, "it has no /v2/") from error
    except AccessDenied as error:
        raise LoginRefused(registry, error.reason) from error
