"""What the agent answers to strangers and to forges: only what is signed is read, only a push to the branch built."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import time

import pytest

from agents import SECRET

pytestmark = pytest.mark.root


def test_a_hook_that_is_not_signed_is_refused_and_nothing_is_recorded(agent) -> None:
    push = agent.push("the second page")
    status, answer = agent.deliver(push, secret="another secret")
    assert (status, list(answer)) == (401, ["error"])
    assert agent.jobs() == []


def test_strangers_learn_nothing(agent) -> None:
    """Whatever they send, and whether it names a repository that is watched."""
    refused = (401, {"error": "the signature is missing or wrong, or the repository is not watched"})
    for signature in ("", "sha256=", "sha1=" + "0" * 40, "sha256=" + "0" * 64):
        for body in (b"", b"not even JSON", b'{"repository": {"full_name": "ana/quotes"}}'):
            assert post(agent, body, {"X-Hub-Signature-256": signature}) == refused
    assert agent.jobs() == []


def test_a_signed_body_that_makes_no_sense_is_told(agent) -> None:
    body = b"[1, 2]"
    signature = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": signature, "X-GitHub-Event": "push", "X-GitHub-Delivery": "a-1"}
    assert post(agent, body, headers) == (400, {"error": "the payload is not a JSON object"})
    assert post(agent, body, headers | {"X-GitHub-Delivery": ""})[0] == 400


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(agent) -> None:
    connection = http.client.HTTPConnection(agent.address, timeout=10)
    connection.putrequest("POST", "/webhooks/github")
    connection.putheader("X-Hub-Signature-256", "sha256=" + "0" * 64)
    connection.putheader("Content-Length", str(26 * 1024 * 1024))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_another_branch_is_understood_and_not_built(agent) -> None:
    push = agent.push("the second page")._replace(branch="topic")
    assert agent.deliver(push) == (200, {"ignored": "the branch topic is not watched (main is)"})
    assert agent.jobs() == []


def test_only_deliveries_are_taken_and_builds_are_not_shown(agent) -> None:
    """Logs may hold anything; who may read them is decided on the machine, not here."""
    connection = http.client.HTTPConnection(agent.address, timeout=10)
    answers = {}
    for method, path in (
        ("GET", "/healthz"),
        ("GET", "/webhooks/github"),
        ("GET", "/builds"),
        ("GET", "/builds/1/log"),
    ):
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        answers[f"{method} {path}"] = answer.status
    connection.close()
    assert answers == {
        "GET /healthz": 200,
        "GET /webhooks/github": 405,
        "GET /builds": 404,
        "GET /builds/1/log": 404,
    }


def post(agent, body: bytes, headers: dict[str, str]) -> tuple[int, object]:
    connection = http.client.HTTPConnection(agent.address, timeout=10)
    try:
        connection.request("POST", "/webhooks/github", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_a_body_that_does_not_come_is_given_up(agent) -> None:
    """A stranger who sends nothing holds nothing for long, and keeps no agent from ending."""
    connection = http.client.HTTPConnection(agent.address, timeout=20)
    connection.putrequest("POST", "/webhooks/github")
    connection.putheader("X-Hub-Signature-256", "sha256=" + "0" * 64)
    connection.putheader("Content-Length", "10")
    connection.endheaders()
    begun = time.monotonic()
    assert agent.stop() == 0
    assert time.monotonic() - begun < 8
    connection.close()
