"""Credentials as Docker's tools keep them: ``config.json`` with `auths`, `credHelpers` and `credsStore`.

The file may belong to other tools too: what is in it and not ours is kept as it is.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
import subprocess

from estiba.errors import InvalidInput, NotFound, PermissionDenied, Unavailable
from estiba.values import NamedTuple, Protocol

_TOKEN_USER = "<token>"
_HELPER_SECONDS = 30


class Login(NamedTuple):
    """A user with a password, or an identity token (`identity`), which is changed for access tokens."""

    user: str
    password: str
    identity: str = ""


class CredentialSource(Protocol):
    def get(self, key: str) -> Login | None:
        """The login for a registry by its key; None where there is none. May block."""


class NoCredentials:
    """Everybody is anonymous."""

    def get(self, key: str) -> Login | None:
        return None


class OneLogin:
    """One login for whatever registry: what `login` tries out."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def get(self, key: str) -> Login | None:
        return self._login


class HelperFailed(Unavailable):
    def __init__(self, helper: str, reason: str) -> None:
        super().__init__(
            f"the credential helper {helper} failed: {reason}",
            remedy="Repair it, or remove it from credHelpers/credsStore in the credential file.",
        )


class CredentialFile:
    """The file at `path`, which need not exist. It is read at each question: other tools write it too.

    `others` are asked, in order, for a login that it does not have.
    """

    def __init__(self, path: str, others: tuple[CredentialSource, ...] = ()) -> None:
        self.path = path
        self._others = others

    def get(self, key: str) -> Login | None:
        """The login for a registry.

        Raises:
            InvalidInput: the file is malformed. HelperFailed. What the others raise.
        """
        value = self._read()
        helper = _helper(value, key)
        if helper:
            return _from_helper(helper, key) or self._from_others(key)
        for name in _spellings(key):
            entry = _object(value, "auths").get(name)
            if isinstance(entry, dict) and (login := _from_entry(entry, self.path, name)):
                return login
        return self._from_others(key)

    def _from_others(self, key: str) -> Login | None:
        for source in self._others:
            if (login := source.get(key)) is not None:
                return login
        return None

    def put(self, key: str, login: Login) -> str:
        """Keep a login; gives where: the file's path or the helper's name.

        Raises:
            InvalidInput, HelperFailed. PermissionDenied: the file cannot be written.
        """
        value = self._read()
        helper = _helper(value, key)
        if helper:
            user, secret = (_TOKEN_USER, login.identity) if login.identity else (login.user, login.password)
            _call(helper, "store", json.dumps({"ServerURL": key, "Username": user, "Secret": secret}))
            return helper
        entry = {"auth": base64.b64encode(f"{login.user}:{login.password}".encode()).decode()}
        if login.identity:
            entry = {"identitytoken": login.identity}
        value["auths"] = {**_object(value, "auths"), key: entry}
        self._write(value)
        return self.path

    def remove(self, key: str) -> None:
        """Forget a login.

        Raises:
            NotFound: there is none. InvalidInput, HelperFailed, PermissionDenied.
        """
        value = self._read()
        helper = _helper(value, key)
        if helper:
            _call(helper, "erase", key)
            return
        auths = _object(value, "auths")
        known = [name for name in _spellings(key) if name in auths]
        if not known:
            raise NotFound(f"not logged in to {key}")
        value["auths"] = {name: entry for name, entry in auths.items() if name not in known}
        self._write(value)

    def _read(self) -> dict[str, object]:
        try:
            with open(self.path, "rb") as file:
                value = json.loads(file.read() or b"{}")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise PermissionDenied(
                f"cannot read {self.path}: {error.strerror}", remedy="Make it a file of yours, or remove it."
            ) from error
        except ValueError as error:
            raise InvalidInput(f"{self.path} is not JSON: {error}", remedy="Correct or remove the file.") from error
        if not isinstance(value, dict):
            raise InvalidInput(f"{self.path} is not a JSON object", remedy="Correct or remove the file.")
        return value

    def _write(self, value: dict[str, object]) -> None:
        """Replace the file as a whole, readable for its owner alone."""
        temporary = f"{self.path}.{secrets.token_hex(4)}"
        try:
            os.makedirs(os.path.dirname(self.path) or ".", mode=0o700, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(value, file, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, os.path.realpath(self.path))
        except OSError as error:
            raise PermissionDenied(f"cannot write {self.path}: {error.strerror}") from error


def _spellings(key: str) -> tuple[str, ...]:
    """Older tools wrote a URL where newer ones write the host."""
    if key.startswith("https://"):
        return (key,)
    return (key, f"https://{key}", f"http://{key}", f"https://{key}/v1/", f"https://{key}/v2/")


def _helper(value: dict[str, object], key: str) -> str:
    name = _object(value, "credHelpers").get(key) or value.get("credsStore")
    return f"docker-credential-{name}" if isinstance(name, str) and name else ""


def _object(value: dict[str, object], key: str) -> dict[str, object]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _from_entry(entry: dict[str, object], path: str, name: str) -> Login | None:
    identity, auth = entry.get("identitytoken"), entry.get("auth")
    if isinstance(identity, str) and identity:
        return Login("", "", identity)
    user, password = entry.get("username"), entry.get("password")
    if isinstance(user, str) and isinstance(password, str):
        return Login(user, password)
    if not isinstance(auth, str) or not auth:
        return None
    try:
        user, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidInput(
            f"{path}: the entry for {name} is malformed", remedy=f"Run `estiba login {name}` again."
        ) from None
    return Login(user, password.rstrip("\0"))


def _from_helper(helper: str, key: str) -> Login | None:
    output = _call(helper, "get", key, missing_is_fine=True)
    if output is None:
        return None
    try:
        value = json.loads(output)
        user, secret = str(value["Username"]), str(value["Secret"])
    except (ValueError, KeyError, TypeError):
        raise HelperFailed(helper, "it answered something else than JSON with Username and Secret") from None
    return Login("", "", secret) if user == _TOKEN_USER else Login(user, secret)


def _call(helper: str, verb: str, given: str, *, missing_is_fine: bool = False) -> str | None:
    try:
        done = subprocess.run(
            [helper, verb], input=given, capture_output=True, text=True, timeout=_HELPER_SECONDS, check=False
        )
    except FileNotFoundError:
        raise HelperFailed(helper, "it is not installed") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HelperFailed(helper, str(error)) from error
    if done.returncode == 0:
        return done.stdout
    text = (done.stdout + done.stderr).strip()
    if missing_is_fine and "not found" in text.lower():
        return None
    raise HelperFailed(helper, text or f"exit code {done.returncode}")
