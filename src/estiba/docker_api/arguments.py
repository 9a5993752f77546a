"""What stands in an address and in headers, read once. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping

from estiba.errors import InvalidInput
from estiba.registry.client.credentials import CredentialSource, Login, NoCredentials, OneLogin

_UNIX = re.compile(r"(-?\d+)(?:\.(\d{1,9})\d*)?")


def is_true(text: str) -> bool:
    """A flag as Docker reads it: everything that does not say no."""
    return text.strip().lower() not in ("", "0", "no", "false", "none")


def whole_number(text: str, name: str) -> int:
    """Raises:
    InvalidInput: it is none.
    """
    try:
        return int(text)
    except ValueError:
        raise InvalidInput(f"invalid value {text!r} for {name}: a whole number is needed") from None


def filters(text: str) -> dict[str, list[str]]:
    """``{"label": ["a=b"]}``, or in the old form ``{"label": {"a=b": true}}``; what has no value filters nothing.

    Raises:
        InvalidInput: neither.
    """
    if not text:
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        raise InvalidInput("invalid filter: it is not JSON") from None
    if not isinstance(value, dict):
        raise InvalidInput("invalid filter: it is no JSON object")
    found: dict[str, list[str]] = {}
    for key, values in value.items():
        if isinstance(values, dict):
            values = [word for word, wanted in values.items() if wanted]
        if not isinstance(values, list) or not all(isinstance(word, str) for word in values):
            raise InvalidInput(f"invalid filter {key!r}: its values are no list of strings")
        if values:
            found[str(key)] = values
    return found


def moment(text: str) -> tuple[int, int] | None:
    """Unix seconds and nanoseconds; None for "" and 0, which mean no limit.

    Raises:
        InvalidInput: no time.
    """
    if text in ("", "0"):
        return None
    match = _UNIX.fullmatch(text)
    if match is not None:
        return int(match[1]), int((match[2] or "").ljust(9, "0"))
    from datetime import datetime

    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"invalid time {text!r}: Unix seconds are needed") from None
    return int(parsed.timestamp()), parsed.microsecond * 1000


def rfc3339(when: tuple[int, int] | None) -> str:
    """A moment in UTC as it stands in logs; "" for none."""
    if when is None:
        return ""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(max(0, when[0]), UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{when[1]:09d}Z"


def one_login(header: str) -> CredentialSource:
    """The credentials in ``X-Registry-Auth``: base64 of JSON with username and password, or identitytoken.

    Raises:
        InvalidInput: it is malformed.
    """
    value = _decoded(header, "X-Registry-Auth")
    login = _login(value)
    return OneLogin(login) if login else NoCredentials()


def logins(header: str) -> CredentialSource:
    """The credentials in ``X-Registry-Config``: by registry.

    Raises:
        InvalidInput: it is malformed.
    """
    value = _decoded(header, "X-Registry-Config")
    found = {}
    for name, entry in value.items():
        if isinstance(entry, dict) and (login := _login(entry)):
            host = name.removeprefix("https://").removeprefix("http://").partition("/")[0]
            found[name] = found[host] = login
    return _ByName(found)


def login_of(value: Mapping[str, object]) -> Login | None:
    """A login in the fields of an AuthConfig."""
    return _login(value)


class _ByName:
    def __init__(self, known: Mapping[str, Login]) -> None:
        self._known = known

    def get(self, key: str) -> Login | None:
        return self._known.get(key)


def _login(value: Mapping[str, object]) -> Login | None:
    token, user, password = value.get("identitytoken"), value.get("username"), value.get("password")
    if isinstance(token, str) and token:
        return Login("", "", token)
    if isinstance(user, str) and user and isinstance(password, str):
        return Login(user, password)
    auth = value.get("auth")
    if isinstance(auth, str) and auth:
        try:
            user, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise InvalidInput("invalid credentials: auth is not base64 of NAME:PASSWORD") from None
        return Login(user, password)
    return None


def _decoded(header: str, name: str) -> dict[str, object]:
    if not header:
        return {}
    try:
        padded = header.strip() + "=" * (-len(header.strip()) % 4)
        value = json.loads(base64.urlsafe_b64decode(padded.replace("+", "-").replace("/", "_")) or b"{}")
    except (ValueError, binascii.Error):
        raise InvalidInput(f"{name} is not base64 of JSON") from None
    return value if isinstance(value, dict) else {}
