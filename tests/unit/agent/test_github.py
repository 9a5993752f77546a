"""GitHub's webhooks: signatures and payloads, those of the documentation and those that no forge would send."""

from __future__ import annotations

import json
from urllib.parse import quote_plus

import pytest
from demo import webhook
from hypothesis import given
from hypothesis import strategies as st

from estiba.agent.events import Ignored, Push
from estiba.agent.webhooks import github
from estiba.agent.webhooks.github import Delivery
from estiba.errors import InvalidInput

HEAD = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
PUSH = webhook.Push(
    owner="Codertocat",
    repository="Hello-World",
    clone_url="https://github.com/Codertocat/Hello-World.git",
    branch="main",
    before="0" * 40,
    after=HEAD,
    message="Say hello\n\nAnd more.",
    author="Ana",
    email="ana@example.org",
    timestamp="2026-01-02T03:04:05Z",
)
HEADERS = {"X-GitHub-Event": "push", "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}


def read(payload: object, **headers: str) -> Delivery:
    return github.read(HEADERS | headers, json.dumps(payload).encode())


def event_of(**changes: object) -> object:
    return github.event(read(webhook.payload(PUSH) | changes))


# Signatures


def test_the_documented_example_is_signed() -> None:
    """docs.github.com, "Validating webhook deliveries", "Testing the webhook payload validation"."""
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert github.is_signed(b"Hello, World!", signature, secret=b"It's a Secret to Everybody")
    assert not github.is_signed(b"Hello, World?", signature, secret=b"It's a Secret to Everybody")
    assert not github.is_signed(b"Hello, World!", signature, secret=b"It's a secret to everybody")


@given(st.text(), st.binary(max_size=100))
def test_no_text_but_the_signature_itself_is_one(signature: str, body: bytes) -> None:
    assert not github.is_signed(body, signature, secret=b"s3cret")


@pytest.mark.parametrize("signature", ["", "sha256=", "sha1=" + "a" * 64, "sha256=" + "a" * 63, "sha256=" + "A" * 64])
def test_a_header_without_the_form_of_a_signature_is_not_worth_reading_the_body(signature: str) -> None:
    assert not github.may_be_signed(signature)


# Payloads


def test_a_push_is_the_head_of_a_branch_with_the_first_line_of_its_message() -> None:
    delivery = read(webhook.payload(PUSH))
    assert (delivery.identifier, delivery.kind) == (HEADERS["X-GitHub-Delivery"], "push")
    assert delivery.repository == "Codertocat/Hello-World"
    assert github.event(delivery) == Push("Codertocat/Hello-World", "main", HEAD, "Say hello")


def test_a_form_holds_the_same_payload() -> None:
    """The content type that GitHub offers beside JSON; its signature is of the form itself."""
    body = b"payload=" + quote_plus(json.dumps(webhook.payload(PUSH))).encode()
    headers = HEADERS | {"Content-Type": "application/x-www-form-urlencoded"}
    assert github.event(github.read(headers, body)) == event_of()


@pytest.mark.parametrize("body", [b"", b"payload", b"other=1", b"payload=1&" * 20, b"\xff", b"payload=%7B"])
def test_a_form_without_a_payload_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        github.read(HEADERS | {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, body)


def test_a_branch_with_slashes_keeps_them() -> None:
    assert event_of(ref="refs/heads/feature/a/b") == Push("Codertocat/Hello-World", "feature/a/b", HEAD, "Say hello")


def test_a_tag_is_not_a_branch() -> None:
    assert event_of(ref="refs/tags/v1") == Ignored("Codertocat/Hello-World", "refs/tags/v1 is not a branch")


@pytest.mark.parametrize("changes", [{"deleted": True}, {"after": "0" * 40}])
def test_a_branch_that_was_deleted_needs_nothing(changes: dict[str, object]) -> None:
    assert event_of(**changes) == Ignored("Codertocat/Hello-World", "the branch main was deleted")


def test_a_ping_needs_nothing_even_from_an_organization_which_is_no_repository() -> None:
    delivery = read({"zen": "Design for failure.", "hook_id": 1}, **{"X-GitHub-Event": "ping"})
    assert github.event(delivery) == Ignored("", "nothing is done for the event 'ping'")


@pytest.mark.parametrize("after", ["", "main", "-" * 40, HEAD.upper(), HEAD + "\n", "--upload-pack=x", 7, None])
def test_what_is_not_a_commit_never_reaches_git(after: object) -> None:
    with pytest.raises(InvalidInput, match="not a commit"):
        event_of(after=after)


def test_a_push_without_a_repository_is_refused() -> None:
    with pytest.raises(InvalidInput, match="names no repository"):
        event_of(repository={"id": 1})


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b"1", b"\xff\xfe", b"[" * 100_000, b"9" * 5000])
def test_what_is_not_a_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="JSON"):
        github.read(HEADERS, body)


@pytest.mark.parametrize(
    ("name", "value"), [("X-GitHub-Event", ""), ("X-GitHub-Delivery", ""), ("X-GitHub-Delivery", "a b")]
)
def test_a_request_without_its_headers_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidInput, match="not a delivery of GitHub"):
        read({}, **{name: value})


def test_a_message_can_do_nothing_to_a_terminal() -> None:
    event = event_of(head_commit={"message": "\x1b[2Jred\x9b1m \ud800 " + "x" * 300})
    assert isinstance(event, Push)
    assert event.message == ("[2Jred1m ? " + "x" * 300)[:200]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
)


@given(st.dictionaries(st.sampled_from(["ref", "after", "deleted", "repository", "head_commit"]), _JSON))
def test_any_object_is_an_event_or_refused(payload: dict[str, object]) -> None:
    delivery = read(payload)
    try:
        event = github.event(delivery)
    except InvalidInput:
        return
    assert isinstance(event, Push | Ignored)
