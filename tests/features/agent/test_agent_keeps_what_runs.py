"""Whatever is wrong with a commit or with a hook, the release that runs goes on running."""

from __future__ import annotations

import pytest

from agents import DOCKERFILE, fetch
from waiting import wait_until

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


def test_a_registry_that_is_gone_keeps_the_old_release(agent, registry) -> None:
    """What could not be pushed does not run either."""
    registry.stop()
    assert "FAILED: " in fails(agent)


@pytest.mark.long
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


def test_a_container_that_is_not_ours_is_left_alone(make_agent) -> None:
    agent = make_agent()
    agent.home.estiba("run", "-d", "--name", "web", "busybox", "sleep", "3014")
    agent.start()
    push = agent.push()
    agent.deliver(push)
    agent.wait_for(push, "failed")
    assert "there is a container web which was not deployed as the app web" in agent.log()
    assert agent.container_names() == ["web"]
