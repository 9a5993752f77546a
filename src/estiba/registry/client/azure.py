"""Azure Container Registry: a token of Microsoft Entra is changed for a refresh token of the registry.

The steps are those of Azure's public description of its registry's authentication:

    POST /oauth2/exchange  grant_type=access_token, service, access_token[, tenant]  ──▶ {"refresh_token": ...}
    POST /oauth2/token     grant_type=refresh_token, service, scope, refresh_token   ──▶ {"access_token": ...}

The second is what `tokens` does with any identity token.
"""

from __future__ import annotations

import json
from urllib.parse import urlencode

from estiba.registry.client.connection import Connection
from estiba.registry.client.failures import AccessDenied, NotInRegistry, Refused, UnexpectedContent

_LARGEST_ANSWER = 1 << 20


async def exchange(connection: Connection, *, access_token: str, tenant: str = "") -> str:
    """The refresh token for an Entra access token; `tenant` may be left out where the token itself tells it.

    Raises:
        AccessDenied: the registry does not take it. NotInRegistry: this is no such registry. RegistryUnreachable.
    """
    registry = connection.address.registry
    form = {"grant_type": "access_token", "service": registry, "access_token": access_token}
    if tenant:
        form["tenant"] = tenant
    what = "changing a token"
    try:
        async with connection.request(
            "POST",
            "/oauth2/exchange",
            what=what,
            scopes=frozenset(),
            expect=(200,),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode(),
        ) as response:
            body = await response.content.read(_LARGEST_ANSWER)
    except NotInRegistry as error:
        raise NotInRegistry(registry, "/oauth2/exchange", "it is no Azure Container Registry") from error
    except Refused as error:
        raise AccessDenied(registry, what, error.message) from error
    try:
        return str(json.loads(body)["refresh_token"])
    except (ValueError, KeyError, TypeError):
        raise UnexpectedContent(f"{registry}/oauth2/exchange answered something else than a refresh token") from None
