"""Amazon ECR: a password for twelve hours, which AWS gives for credentials of its own (`GetAuthorizationToken`).

botocore signs the request and finds the credentials: the environment, the profiles of ``~/.aws``, single sign-on,
roles. Those of the machine itself are not asked for. It is the extra ``estiba[ecr]``, as it is large.
"""

from __future__ import annotations

import base64
import binascii
import re

from estiba.errors import PermissionDenied, Unavailable
from estiba.registry.client.credentials import Login
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

_HOST = re.compile(
    r"(?P<account>[0-9]{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws)"
)
_SECONDS = 10


class NoBotocore(Unavailable):
    def __init__(self, registry: str) -> None:
        super().__init__(
            f"no login for {registry} is kept, and AWS cannot be asked for one: botocore is not installed",
            remedy="pip install 'estiba[ecr]', or name the credential helper ecr-login in credHelpers, or: "
            f"aws ecr get-login-password | estiba login -u AWS --password-stdin {registry}",
        )


class NoToken(PermissionDenied):
    def __init__(self, registry: str, reason: str) -> None:
        super().__init__(
            f"AWS gives no login for {registry}: {reason}",
            remedy="Check AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and ecr:GetAuthorizationToken.",
        )


class EcrRegistry(NamedTuple):
    account: str
    region: str

    @classmethod
    def parse(cls, host: str) -> EcrRegistry | None:
        """The private registry of an account; None for any other host."""
        found = _HOST.fullmatch(host.partition(":")[0])
        return cls(**found.groupdict()) if found else None


class EcrLogins:
    """Logins for registries of ECR, as a `CredentialSource`. Each question asks AWS; nothing is kept."""

    def get(self, key: str) -> Login | None:
        """None for registries that are not ECR's. May block.

        Raises:
            NoBotocore. NoToken: AWS refuses, or there are no credentials. Unavailable: it cannot be reached.
        """
        registry = EcrRegistry.parse(key)
        return _login(key, _ask(key, registry)) if registry else None


def _ask(host: str, registry: EcrRegistry) -> dict[str, Any]:
    try:
        from botocore import session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
    except ImportError:
        raise NoBotocore(host) from None
    try:
        aws = session.Session()
        aws.get_component("credential_provider").remove("iam-role")
        settings = Config(connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"max_attempts": 2})
        answer: dict[str, Any] = aws.create_client(
            "ecr", region_name=registry.region, config=settings
        ).get_authorization_token()
    except ClientError as error:
        raise NoToken(host, error.response.get("Error", {}).get("Message") or str(error)) from error
    except (ConnectionError, HTTPClientError) as error:
        raise Unavailable(
            f"AWS cannot be asked for a login for {host}: {error}", remedy="Check the network."
        ) from error
    except BotoCoreError as error:
        raise NoToken(host, str(error)) from error
    return answer


def _login(host: str, answer: dict[str, Any]) -> Login:
    try:
        token = str(answer["authorizationData"][0]["authorizationToken"])
        user, colon, password = base64.b64decode(token, validate=True).decode().partition(":")
    except (KeyError, IndexError, TypeError, binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise NoToken(host, "it answered something else than a token")
    return Login(user, password)
