"""Who may come in: anybody, or the users of an htpasswd file (bcrypt, as Docker's registry takes it).

bcrypt is the C library's (libcrypt); no Python package is needed.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ctypes
import hashlib
import hmac
import secrets

from aiohttp import web

from estiba.errors import InvalidInput, Unavailable
from estiba.registry.protocol import errors
from estiba.registry.protocol.challenges import basic
from estiba.registry.protocol.errors import ProtocolError

_BCRYPT = ("$2y$", "$2b$", "$2a$")
_CRYPT_DATA = 32768  # struct crypt_data of libxcrypt
_NOBODY = "$2y$05$abcdefghijklmnopqrstuuvVjpIUdbIRFMr6eYJmV5YiQlGRYdXYy"


class Access:
    """Lets everybody in."""

    async def user(self, request: web.BaseRequest) -> str:
        """The name of the one who asks, "" for anybody.

        Raises:
            ProtocolError: UNAUTHORIZED, with a challenge.
        """
        return ""


class PasswordAccess(Access):
    """Lets in who has a line in an htpasswd file. A password that was right is not computed again (bcrypt is slow)."""

    def __init__(self, hashes: dict[str, str]) -> None:
        self._hashes = hashes
        self._salt = secrets.token_bytes(16)
        self._proven: dict[str, bytes] = {}
        self._crypt = _libcrypt()

    async def user(self, request: web.BaseRequest) -> str:
        user, password = _credentials(request.headers.get("Authorization", ""))
        proof = hashlib.blake2b(password, key=self._salt).digest()
        if hmac.compare_digest(self._proven.get(user, b""), proof):
            return user
        # A user who is not there costs as much time as one who is.
        known = self._hashes.get(user, _NOBODY)
        loop = asyncio.get_running_loop()
        right = await loop.run_in_executor(None, self._verify, password, known)
        if not right or user not in self._hashes:
            raise _unauthorized("wrong user or password")
        self._proven[user] = proof
        return user

    def _verify(self, password: bytes, known: str) -> bool:
        data = ctypes.create_string_buffer(_CRYPT_DATA)
        found = self._crypt.crypt_rn(password, known.encode(), data, _CRYPT_DATA)
        return bool(found) and hmac.compare_digest(found, known.encode())


def read_htpasswd(path: str) -> PasswordAccess:
    """Read a file of ``user:hash`` lines.

    Raises:
        InvalidInput: the file cannot be read, or a hash is not bcrypt.
        Unavailable: this machine has no libcrypt.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.strip() for line in file]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInput(f"cannot read {path}: {reason}", remedy="Give a file that `htpasswd -B` writes.") from error
    hashes = {}
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        user, colon, value = line.partition(":")
        if not colon or not user or not value.startswith(_BCRYPT):
            raise InvalidInput(
                f"{path}, line {number}: expected USER:BCRYPT-HASH", remedy=f"Add users with `htpasswd -B {path} USER`."
            )
        hashes[user] = value
    return PasswordAccess(hashes)


def _credentials(header: str) -> tuple[str, bytes]:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        raise _unauthorized("authentication required")
    try:
        user, colon, password = base64.b64decode(value, validate=True).partition(b":")
        if not colon or b"\0" in password:
            raise _unauthorized("malformed credentials")
        return user.decode(), password
    except (binascii.Error, UnicodeDecodeError):
        raise _unauthorized("malformed credentials") from None


def _unauthorized(message: str) -> ProtocolError:
    return ProtocolError(errors.UNAUTHORIZED, message, headers=(("WWW-Authenticate", basic("Estiba registry")),))


def _libcrypt() -> ctypes.CDLL:
    for name in ("libcrypt.so.1", "libcrypt.so.2"):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.crypt_rn.restype = ctypes.c_char_p
        library.crypt_rn.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int]
        return library
    raise Unavailable("--htpasswd needs libcrypt", remedy="Install the package libcrypt1.")
