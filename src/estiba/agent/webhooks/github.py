"""GitHub's webhooks (docs.github.com, "Validating webhook deliveries" and "Webhook events and payloads"). Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qs

from estiba.agent.events import Event, Ignored, Push
from estiba.errors import InvalidInput

SIGNATURE = "X-Hub-Signature-256"
EVENT = "X-GitHub-Event"
DELIVERY = "X-GitHub-Delivery"

_SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BRANCH = "refs/heads/"
_DELIVERY = re.compile(r"[A-Za-z0-9-]{1,100}")
_LONGEST_MESSAGE = 200


class Delivery(NamedTuple):
    """One request: `identifier` is the same when GitHub sends it again; `kind` is ``push``, ``ping``, …

    `repository` is "" where the payload names none, as in the ping of an organization's webhook.
    """

    identifier: str
    kind: str
    repository: str
    payload: Mapping[str, object]


def may_be_signed(signature: str) -> bool:
    """Whether the header has the form of a signature at all, so that it is worth reading the body."""
    return _SIGNATURE.fullmatch(signature) is not None


def is_signed(body: bytes, signature: str, *, secret: bytes) -> bool:
    """Whether `signature` (``sha256=`` and hex) is the HMAC-SHA256 of the body, compared in constant time."""
    expected = "sha256=" + hmac.digest(secret, body, hashlib.sha256).hex()
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))


def read(headers: Mapping[str, str], body: bytes) -> Delivery:
    """Read a request whose signature has been checked.

    Raises:
        InvalidInput: a header is missing, or the body is no JSON object.
    """
    kind, identifier = headers.get(EVENT, ""), headers.get(DELIVERY, "")
    if not kind or not _DELIVERY.fullmatch(identifier):
        raise InvalidInput(f"not a delivery of GitHub: {EVENT} and {DELIVERY} are needed")
    if headers.get("Content-Type", "").partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        body = _form_field(body)
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidInput("the payload is not JSON") from None
    if not isinstance(payload, dict):
        raise InvalidInput("the payload is not a JSON object")
    return Delivery(identifier, kind, _text(payload, "repository", "full_name"), payload)


def event(delivery: Delivery) -> Event:
    """What a delivery means.

    Raises:
        InvalidInput: a push without a repository, a branch or a commit.
    """
    repository, payload = delivery.repository, delivery.payload
    if delivery.kind != "push":
        return Ignored(repository, f"nothing is done for the event {delivery.kind!r}")
    if not repository:
        raise InvalidInput("the push names no repository (repository.full_name)")
    reference, commit = _text(payload, "ref"), _text(payload, "after")
    if not reference.startswith(_BRANCH):
        return Ignored(repository, f"{reference or 'the push'} is not a branch")
    branch = reference.removeprefix(_BRANCH)
    if payload.get("deleted") is True or set(commit) == {"0"}:
        return Ignored(repository, f"the branch {branch} was deleted")
    if not _COMMIT.fullmatch(commit):
        raise InvalidInput(f"'after' is not a commit: {commit[:100]!r}")
    return Push(repository, branch, commit, _line(_text(payload, "head_commit", "message")))


def _form_field(body: bytes) -> bytes:
    try:
        return parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=8)["payload"][0].encode()
    except (ValueError, KeyError):
        raise InvalidInput("the form has no field 'payload'") from None


def _line(text: str) -> str:
    """The first line, without what would do something to a terminal."""
    first = text.strip().partition("\n")[0]
    return "".join(character for character in first if character.isprintable())[:_LONGEST_MESSAGE]


def _text(value: object, *path: str) -> str:
    """A text in the payload, "" where there is none; half a surrogate pair becomes a question mark."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
