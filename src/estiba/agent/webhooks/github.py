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

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BRANCH = "refs/heads/"
_DELIVERY = re.compile(r"[A-Za-z0-9-]{1,100}")


class Delivery(NamedTuple):
    """One request: `identifier` is the same when GitHub sends it again; `kind` is ``push``, ``ping``, …"""

    identifier: str
    kind: str
    repository: str
    payload: Mapping[str, object]


def is_signed(body: bytes, signature: str, *, secret: bytes) -> bool:
    """Whether `signature` (``sha256=`` and hex) is the HMAC-SHA256 of the body, compared in constant time."""
    expected = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))


def read(headers: Mapping[str, str], body: bytes) -> Delivery:
    """Read a request, whose signature is checked by the secret of the repository that it names.

    Raises:
        InvalidInput: a header is missing, no JSON, or no repository in it.
    """
    kind, identifier = headers.get(EVENT, ""), headers.get(DELIVERY, "")
    if not kind or not _DELIVERY.fullmatch(identifier):
        raise InvalidInput(f"not a delivery of GitHub: {EVENT} and {DELIVERY} are needed")
    if headers.get("Content-Type", "").partition(";")[0].strip() == "application/x-www-form-urlencoded":
        try:
            body = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=8)["payload"][0].encode()
        except (ValueError, KeyError):
            raise InvalidInput("the form has no field 'payload'") from None
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidInput("the payload is not JSON") from None
    if not isinstance(payload, dict):
        raise InvalidInput("the payload is not a JSON object")
    name = _text(payload, "repository", "full_name")
    if not name:
        raise InvalidInput("the payload names no repository (repository.full_name)")
    return Delivery(identifier, kind, name, payload)


def event(delivery: Delivery) -> Event:
    """What a delivery means.

    Raises:
        InvalidInput: a push without a branch or a commit.
    """
    repository, payload = delivery.repository, delivery.payload
    if delivery.kind != "push":
        return Ignored(repository, f"nothing is done for the event {delivery.kind!r}")
    reference, commit = _text(payload, "ref"), _text(payload, "after")
    if not reference.startswith(_BRANCH):
        return Ignored(repository, f"{reference or 'the push'} is not a branch")
    branch = reference.removeprefix(_BRANCH)
    if payload.get("deleted") is True or set(commit) == {"0"}:
        return Ignored(repository, f"the branch {branch} was deleted")
    if not _COMMIT.fullmatch(commit):
        raise InvalidInput(f"'after' is not a commit: {commit!r}")
    return Push(repository, branch, commit, _text(payload, "head_commit", "message").partition("\n")[0][:200])


def _text(value: object, *path: str) -> str:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""
