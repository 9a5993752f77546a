"""Authentication: from a challenge to the `Authorization` header (Docker's token scheme, and Basic).

Tokens are kept for as long as they are good, one for each set of scopes.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from urllib.parse import urlencode, urlsplit

from estiba.errors import NotThereYet
from estiba.registry.client.addresses import RegistryAddress, is_loopback
from estiba.registry.client.credentials import CredentialSource, Login
from estiba.registry.client.failures import AccessDenied, RegistryFailed, UnexpectedContent
from estiba.registry.client.wire import Wire
from estiba.registry.protocol.challenges import Challenge, parse_challenges
from estiba.registry.protocol.errors import decode
from estiba.values import NamedTuple

_SHORTEST_LIFE = 60
_MARGIN = 10
_LARGEST_ANSWER = 1 << 20

Scopes = frozenset[str]


def pull_scope(repository: str) -> str:
    return f"repository:{repository}:pull"


def push_scope(repository: str) -> str:
    return f"repository:{repository}:pull,push"


class _Token(NamedTuple):
    header: str
    expires: float


class Authenticator:
    """Speaks for one user at one registry."""

    def __init__(self, wire: Wire, address: RegistryAddress, credentials: CredentialSource) -> None:
        self._wire = wire
        self._address = address
        self._credentials = credentials
        self._login: Login | None = None
        self._asked = False
        self._tokens: dict[Scopes, _Token] = {}
        self._lock = asyncio.Lock()

    def header(self, scopes: Scopes) -> str:
        """What is known to be good for `scopes`; "" before the registry has asked."""
        token = self._tokens.get(scopes)
        return token.header if token and token.expires > time.monotonic() else ""

    async def answer(self, challenge: str, scopes: Scopes, *, refused: str) -> str:
        """The header that answers a 401 with `challenge`; `refused` is the header that was sent with it.

        Raises:
            AccessDenied: there are no credentials, or they are wrong. NotThereYet: another scheme.
        """
        async with self._lock:
            known = self.header(scopes)
            if known and known != refused:
                return known  # somebody else has just asked
            login = await self._find_login()
            token = await self._answer(parse_challenges(challenge), scopes, login, refused)
            self._tokens[scopes] = token
            return token.header

    async def _answer(
        self, challenges: tuple[Challenge, ...], scopes: Scopes, login: Login | None, refused: str
    ) -> _Token:
        for challenge in challenges:
            if challenge.scheme == "bearer":
                return await self._fetch(challenge, scopes, login)
            if challenge.scheme == "basic":
                if login is None:
                    raise AccessDenied(self._address.registry, _what(scopes), "it wants a user and a password")
                header = _basic(login)
                if header == refused:
                    raise AccessDenied(self._address.registry, _what(scopes), "the user or the password is wrong")
                return _Token(header, float("inf"))
        names = ", ".join(challenge.scheme for challenge in challenges) or "no scheme at all"
        raise NotThereYet(f"the registry {self._address.registry} wants authentication by {names}")

    async def _find_login(self) -> Login | None:
        if not self._asked:
            loop = asyncio.get_running_loop()
            self._login = await loop.run_in_executor(None, self._credentials.get, self._address.key)
            self._asked = True
        return self._login

    async def _fetch(self, challenge: Challenge, scopes: Scopes, login: Login | None) -> _Token:
        """Ask the token server, which the challenge names."""
        realm = challenge.parameters.get("realm", "")
        self._check_realm(realm)
        service = challenge.parameters.get("service", "")
        wanted = sorted(scopes) or [scope for scope in (challenge.parameters.get("scope"),) if scope]
        if login and login.identity:
            form = {"grant_type": "refresh_token", "service": service, "client_id": "estiba"}
            form |= {"refresh_token": login.identity, "scope": " ".join(wanted)}
            sending = self._wire.request("POST", realm, data=form)
        else:
            query = [("service", service)] if service else []
            query += [("scope", scope) for scope in wanted]
            headers = {"Authorization": _basic(login)} if login else {}
            if login:
                query.append(("account", login.user))
            sending = self._wire.request("GET", _with_query(realm, query), headers=headers)
        async with sending as response:
            body = await response.content.read(_LARGEST_ANSWER)
            if response.status in (400, 401, 403):
                reported = decode(body)
                reason = reported[0].message if reported else f"the token server answered {response.status}"
                raise AccessDenied(self._address.registry, _what(scopes), reason)
            if response.status != 200:
                raise RegistryFailed(f"the token server {realm} answered {response.status}")
        return _read_token(body, realm)

    def _check_realm(self, realm: str) -> None:
        """A password must not travel in the open because a registry says so."""
        parts = urlsplit(realm)
        if parts.scheme == "https" or (
            parts.scheme == "http" and (not self._address.is_encrypted or is_loopback(parts.netloc))
        ):
            return
        raise UnexpectedContent(f"the registry {self._address.registry} names {realm!r} as its token server")


def _with_query(url: str, query: list[tuple[str, str]]) -> str:
    separator = "&" if "?" in url else "?"
    return url + separator + urlencode(query) if query else url


def _read_token(body: bytes, realm: str) -> _Token:
    try:
        value = json.loads(body)
        token = value.get("token") or value["access_token"]
        life = value.get("expires_in") or _SHORTEST_LIFE
        return _Token(f"Bearer {token}", time.monotonic() + max(float(life), _SHORTEST_LIFE) - _MARGIN)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UnexpectedContent(f"the token server {realm} answered something else than a token") from None


def _basic(login: Login) -> str:
    return "Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()).decode()


def _what(scopes: Scopes) -> str:
    names = [scope.split(":")[1] for scope in sorted(scopes) if scope.count(":") >= 2]
    return ", ".join(names) or "anything"
