"""Whatever is wrong with a commit or with a hook, the release that runs goes on running."""

from __future__ import annotations

import http.client
import json
import time

import pytest

from agents import DOCKERFILE, fetch, wait_until

pytestmark = pytest.mark.root


@pytest.fixture
def agent(agent):
    """An agent with a release that runs."""
    push = agent.push()
    agent.deliver(push)
    agent.wait_for(push, "succeeded")
    return agent


def fails(agent, **files: str) -> str:
    """Pushes a commit that cannot be brought to life; gives its log."""
    push = agent.push("the second page", **files)
    agent.deliver(push)
    agent.wait_for(push, "failed")
    assert fetch(agent.page) == "the first page"
    assert agent.container_names() == ["web"]
    return agent.log(2)


def test_a_build_that_fails_is_told_with_its_line(agent) -> None:
    log = fails(agent, Dockerfile="FROM busybox\nRUN echo oh no; exit 3\n")
    assert "ana/quotes/Dockerfile:2:" in log
    assert "the command '/bin/sh -c echo oh no; exit 3' ended with exit code 3" in log
    assert "failed: the command '/bin/sh -c echo oh no; exit 3' ended with exit code 3" in agent.said
    third = agent.push("the third page", Dockerfile=DOCKERFILE)
    agent.deliver(third)
    agent.wait_for(third, "succeeded")
    assert fetch(agent.page) == "the third page"


def test_a_release_that_ends_at_once_is_taken_back_with_its_last_words(agent) -> None:
    log = fails(agent, Dockerfile="FROM busybox\nCMD echo the cause of it; exit 4\n")
    assert "probe failed: it ended with exit code 4" in log
    assert "Its last words:\nthe cause of it\nThe release before it runs again.\n" in log


def test_a_release_that_never_answers_is_taken_back(make_agent) -> None:
    agent = make_agent()
    agent.change_config("ready_within = 20", "ready_within = 1")
    agent.start()
    first = agent.push()
    agent.deliver(first)
    agent.wait_for(first, "succeeded")
    log = fails(agent, Dockerfile="FROM busybox\nSTOPSIGNAL SIGKILL\nCMD echo I wait; sleep 3013\n")
    assert "no answer within 1 seconds" in log
    assert "Its last words:\nI wait\n" in log


def test_a_program_that_is_not_there_is_taken_back(agent) -> None:
    log = fails(agent, Dockerfile='FROM busybox\nCMD ["/no/such/program"]\n')
    assert "start failed:" in log
    assert "The release before it runs again." in log


def test_a_dockerfile_that_leads_out_of_the_repository_is_refused(agent) -> None:
    """A link to a file of the host is nothing that a repository may build with."""
    link = agent.repository._copy / "Dockerfile"
    link.unlink()
    link.symlink_to("/etc/passwd")
    agent.repository.commit("a link")
    push = agent.repository.push()
    agent.deliver(push)
    agent.wait_for(push, "failed")
    assert "Dockerfile is a link that leads out of the repository" in agent.log(2)


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


def test_a_registry_that_is_gone_keeps_the_old_release(agent, registry) -> None:
    """What could not be pushed does not run either."""
    registry.stop()
    assert "FAILED: " in fails(agent)


def test_a_failed_build_can_be_tried_again(agent, registry) -> None:
    address = registry.address
    registry.stop()
    fails(agent)
    registry.start()
    agent.stop()
    agent.change_config(address, registry.address)
    agent.start()
    agent.home.estiba("agent", "retry", "2")
    wait_until(lambda: agent.jobs()[1][1] == "succeeded", "the second build")
    assert fetch(agent.page) == "the second page"


def test_a_hook_that_is_not_signed_is_refused_and_nothing_is_recorded(agent) -> None:
    push = agent.push("the second page")
    status, answer = agent.deliver(push, secret="another secret")
    assert (status, list(answer)) == (401, ["error"])
    assert len(agent.jobs()) == 1


def test_strangers_learn_nothing(agent) -> None:
    """Whatever they send, and whether it names a repository that is watched."""
    refused = (401, {"error": "the signature is missing or wrong, or the repository is not watched"})
    for signature in ("", "sha256=", "sha1=" + "0" * 40, "sha256=" + "0" * 64):
        for body in (b"", b"not even JSON", b'{"repository": {"full_name": "ana/quotes"}}'):
            assert post(agent, body, {"X-Hub-Signature-256": signature}) == refused
    assert len(agent.jobs()) == 1


def test_a_signed_body_that_makes_no_sense_is_told(agent) -> None:
    import hashlib
    import hmac

    from agents import SECRET

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
    assert len(agent.jobs()) == 1


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


def test_a_container_that_is_not_ours_is_left_alone(make_agent) -> None:
    agent = make_agent()
    agent.home.estiba("run", "-d", "--name", "web", "busybox", "sleep", "3014")
    agent.start()
    push = agent.push()
    agent.deliver(push)
    agent.wait_for(push, "failed")
    assert "there is a container web which was not deployed as the app web" in agent.log()
    assert agent.container_names() == ["web"]
