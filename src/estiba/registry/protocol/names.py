"""The grammar of what a path names: repositories, tags, digests, upload sessions (distribution-spec, "Pulling")."""

from __future__ import annotations

import re

from estiba.oci.digest import Digest, InvalidDigest
from estiba.oci.reference import is_repository, is_tag
from estiba.registry.protocol import errors
from estiba.registry.protocol.errors import ProtocolError

LONGEST_REPOSITORY = 255
_SESSION = re.compile(r"[0-9a-f]{32}")


def check_repository(text: str) -> str:
    """Give `text` back if it names a repository.

    Raises:
        ProtocolError: NAME_INVALID.
    """
    if len(text) > LONGEST_REPOSITORY:
        raise ProtocolError(
            errors.NAME_INVALID, f"the repository name has {len(text)} characters; the limit is {LONGEST_REPOSITORY}"
        )
    if not is_repository(text):
        raise ProtocolError(
            errors.NAME_INVALID,
            f"{text!r} is not a repository name: lower-case letters, digits and single separators, parts joined by '/'",
            detail={"name": text},
        )
    return text


def check_tag(text: str) -> str:
    """Give `text` back if it is a tag.

    Raises:
        ProtocolError: TAG_INVALID.
    """
    if not is_tag(text):
        raise ProtocolError(
            errors.TAG_INVALID,
            f"{text!r} is not a tag: letters, digits, '_', '.' and '-', at most 128, not beginning with '.' or '-'",
            detail={"tag": text},
        )
    return text


def parse_digest(text: str) -> Digest:
    """Read a digest.

    Raises:
        ProtocolError: DIGEST_INVALID.
    """
    try:
        return Digest.parse(text)
    except InvalidDigest as error:
        raise ProtocolError(errors.DIGEST_INVALID, error.message, detail={"digest": text}) from None


def parse_tag_or_digest(text: str) -> str | Digest:
    """What stands behind ``/manifests/``: a digest has a colon, a tag never.

    Raises:
        ProtocolError: TAG_INVALID or DIGEST_INVALID.
    """
    return parse_digest(text) if ":" in text else check_tag(text)


def check_session(text: str) -> str:
    """Give `text` back if it has the form of an upload session that this registry hands out.

    Raises:
        ProtocolError: BLOB_UPLOAD_UNKNOWN.
    """
    if not _SESSION.fullmatch(text):
        raise ProtocolError(errors.BLOB_UPLOAD_UNKNOWN, detail={"session": text})
    return text
