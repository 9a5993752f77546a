"""What a webhook says, whoever sent it. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Push(NamedTuple):
    """A branch of `repository` (``owner/name``) has the head `commit` (40 or 64 hex digits)."""

    repository: str
    branch: str
    commit: str
    message: str = ""


class Ignored(NamedTuple):
    """A delivery that is understood and needs no work, with the reason."""

    repository: str
    reason: str


Event = Push | Ignored
