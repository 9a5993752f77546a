"""Templates of tags, such as ``{branch}-{short_sha}``. Pure."""

from __future__ import annotations

import re

from estiba.errors import InvalidInput
from estiba.oci.reference import is_tag

_FIELD = re.compile(r"\{([^{}]*)\}")
_NOT_IN_A_TAG = re.compile(r"[^A-Za-z0-9_.-]")


def fill(template: str, *, commit: str, branch: str) -> str:
    """The tag that a template makes for a commit of a branch.

    Raises:
        InvalidInput: it names another field, or makes no tag.
    """
    values = {"sha": commit, "short_sha": commit[:12], "branch": _NOT_IN_A_TAG.sub("-", branch)}

    def value(field: re.Match[str]) -> str:
        if field[1] not in values:
            raise InvalidInput(f"{template!r}: there is no {field[0]}", remedy=f"There are {_listed(values)}.")
        return values[field[1]]

    tag = _FIELD.sub(value, template)
    if not is_tag(tag):
        raise InvalidInput(
            f"{template!r} makes {tag!r}, which is not a tag (letters, digits, '_', '.', '-'; at most 128)"
        )
    return tag


def _listed(names: dict[str, str]) -> str:
    return ", ".join("{" + name + "}" for name in names)
