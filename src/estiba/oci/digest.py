"""Digests: the identity of exact bytes (image-spec, descriptor.md, "Digests")."""

from __future__ import annotations

import sys

from estiba.errors import InvalidInput
from estiba.values import TYPE_CHECKING, NamedTuple

# For a few bytes the interpreter's own; hashlib brings OpenSSL, 3 ms and 2 MB, which is four times as fast.
if TYPE_CHECKING:
    from hashlib import _Hash, sha256
elif sys.version_info >= (3, 12):
    from _sha2 import sha256
else:
    from _sha256 import sha256

_SMALL = 1 << 16

_HEX_LENGTH = {"sha256": 64, "sha512": 128}
_HEX = frozenset("0123456789abcdef")


class InvalidDigest(InvalidInput):
    def __init__(self, text: str, reason: str) -> None:
        super().__init__(
            f"invalid digest {text!r}: {reason}", remedy="Write it as sha256: and 64 lower-case hex digits."
        )


def new_hash(algorithm: str, size: int | None) -> _Hash:
    """What computes a digest of `size` bytes, None where that is not known."""
    if algorithm == "sha256" and size is not None and size <= _SMALL:
        return sha256()
    import hashlib

    return hashlib.new(algorithm, usedforsecurity=False)


class Digest(NamedTuple):
    """`algorithm` is sha256 or sha512, `hex` the lower-case encoded value; prints as ``sha256:…``."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read ``algorithm:hex``.

        Raises:
            InvalidDigest: another algorithm, a wrong length, or characters that are not lower-case hex.
        """
        algorithm, colon, value = text.partition(":")
        if not colon:
            raise InvalidDigest(text, "no colon")
        length = _HEX_LENGTH.get(algorithm)
        if length is None:
            raise InvalidDigest(text, f"the algorithm must be sha256 or sha512, not {algorithm!r}")
        if len(value) != length or not _HEX.issuperset(value):
            raise InvalidDigest(text, f"expected {length} lower-case hex digits")
        return cls(algorithm, value)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """The sha256 digest of `data`."""
        computed = new_hash("sha256", len(data))
        computed.update(data)
        return cls("sha256", computed.hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @property
    def short(self) -> str:
        """The first 12 hex digits, as tools show them."""
        return self.hex[:12]
