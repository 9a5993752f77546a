"""Login: credentials are tried out, then kept."""

from __future__ import annotations

import asyncio

from estiba.oci.reference import DEFAULT_REGISTRY
from estiba.registry.client.addresses import RegistryAddress
from estiba.registry.client.azure import exchange
from estiba.registry.client.connection import Patience, connect
from estiba.registry.client.credentials import CredentialFile, Login, NoCredentials, OneLogin
from estiba.registry.client.routes import DIRECT, Routes


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
        AccessDenied: the registry does not know it; nothing was kept. RegistryUnreachable.
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


async def _try(registry: str, given: Login, patience: Patience | None, routes: Routes) -> None:
    async with (
        connect(registry, credentials=OneLogin(given), patience=patience, routes=routes) as connection,
        connection.request("GET", "/v2/", what="logging in", scopes=frozenset(), expect=(200,)),
    ):
        return
