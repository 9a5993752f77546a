"""What GitHub sends when someone pushes: the payload's shape and its signature, and the delivery of it.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#push
https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
"""

from __future__ import annotations

import hashlib
import hmac
import json
import urllib.request
import uuid
from typing import Any, NamedTuple


class Push(NamedTuple):
    """A push of one commit to a branch. `clone_url` is where the repository can be cloned from."""

    owner: str
    repository: str
    clone_url: str
    branch: str
    before: str
    after: str
    message: str
    author: str
    email: str
    timestamp: str


def payload(push: Push) -> dict[str, Any]:
    """The body of the `push` event."""
    full_name = f"{push.owner}/{push.repository}"
    page = push.clone_url.removesuffix(".git")
    person = {"name": push.author, "email": push.email, "username": push.owner}
    commit = {
        "id": push.after,
        "tree_id": push.after,
        "distinct": True,
        "message": push.message,
        "timestamp": push.timestamp,
        "url": f"{page}/commit/{push.after}",
        "author": person,
        "committer": person,
        "added": [],
        "removed": [],
        "modified": [],
    }
    owner = {"name": push.owner, "email": push.email, "login": push.owner, "id": 1, "type": "User"}
    return {
        "ref": f"refs/heads/{push.branch}",
        "before": push.before,
        "after": push.after,
        "repository": {
            "id": 1,
            "name": push.repository,
            "full_name": full_name,
            "private": False,
            "owner": owner,
            "html_url": page,
            "url": page,
            "git_url": push.clone_url,
            "clone_url": push.clone_url,
            "default_branch": push.branch,
            "master_branch": push.branch,
        },
        "pusher": {"name": push.owner, "email": push.email},
        "sender": owner,
        "created": push.before == "0" * 40,
        "deleted": False,
        "forced": False,
        "base_ref": None,
        "compare": f"{page}/compare/{push.before[:12]}...{push.after[:12]}",
        "commits": [commit],
        "head_commit": commit,
    }


def deliver(url: str, push: Push, *, secret: str) -> tuple[int, str]:
    """Delivers the event as GitHub does and gives the status and body of the answer.

    Raises:
        urllib.error.HTTPError: the receiver refused it.
    """
    body = json.dumps(payload(push)).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/demo",
        "X-GitHub-Delivery": str(uuid.uuid4()),
        "X-GitHub-Event": "push",
        "X-GitHub-Hook-ID": "1",
        "X-Hub-Signature-256": f"sha256={signature}",
    }
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status, answer.read().decode()
