"""Versions of the API: ``/v1.43/containers/json`` asks for one, a path without asks for the newest. Pure."""

from __future__ import annotations

import re

from estiba.errors import InvalidInput
from estiba.values import NamedTuple


class Version(NamedTuple):
    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


OLDEST = Version(1, 24)
NEWEST = Version(1, 50)

_PREFIX = re.compile(r"/v(\d{1,4})\.(\d{1,4})(/.*)")


def split(path: str) -> tuple[Version, str]:
    """The version that is asked for, and the rest of the path.

    Raises:
        InvalidInput: a version that is too old or too new, in Docker's words, which its clients read.
    """
    match = _PREFIX.fullmatch(path)
    if match is None:
        return NEWEST, path
    version = Version(int(match[1]), int(match[2]))
    if version < OLDEST:
        raise InvalidInput(
            f"client version {version} is too old. Minimum supported API version is {OLDEST}, "
            "please upgrade your client to a newer version"
        )
    if version > NEWEST:
        raise InvalidInput(f"client version {version} is too new. Maximum supported API version is {NEWEST}")
    return version, match[3]
