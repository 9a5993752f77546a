"""Warnings: what is allowed but probably not meant. The names are those of Docker's build checks."""

from __future__ import annotations

from typing import NamedTuple


class Warning(NamedTuple):  # noqa: A001 - the word of the field
    """`rule` names the check, such as ``StageNameCasing``; `line` counts from 1."""

    rule: str
    message: str
    line: int
