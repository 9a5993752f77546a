"""From a signed hook to a page that has changed: clone, build, push, replace."""

from __future__ import annotations

import subprocess

import pytest

from agents import DOCKERFILE, fetch

pytestmark = pytest.mark.root


def test_a_push_is_built_pushed_and_runs_and_the_next_one_replaces_it(agent, registry) -> None:
    """The whole way, twice: 202 at once, then the page of the new commit, under the names of the configuration."""
    first = agent.push()
    assert agent.deliver(first) == (202, {"build": 1, "is_new": True})
    agent.wait_for(first, "succeeded")
    assert fetch(agent.page) == "the first page"
    assert agent.container_names() == ["web"]

    second = agent.push("the second page")
    assert agent.deliver(second) == (202, {"build": 2, "is_new": True})
    agent.wait_for(second, "succeeded")
    assert fetch(agent.page) == "the second page"
    assert agent.container_names() == ["web"]

    tags = registry.request("GET", "/v2/ana/quotes/tags/list").json["tags"]
    assert sorted(tags) == sorted(["latest", first.after[:12], second.after[:12]])
    log = agent.log(2)
    assert "run again: the step before it changed" in log
    assert "deploy rename web.next to web: it has answered" in log


def test_builds_are_shown_on_the_command_line(agent) -> None:
    push = agent.push()
    agent.deliver(push)
    agent.wait_for(push, "succeeded")
    heading, line = agent.home.estiba("agent", "ls").stdout.splitlines()
    assert heading.split() == ["BUILD", "REPOSITORY", "BRANCH", "COMMIT", "STATE", "CREATED", "MESSAGE"]
    assert line.split()[:5] == ["1", "ana/quotes", "main", push.after[:12], "succeeded"]
    shown = agent.home.estiba("agent", "show", "1").stdout.splitlines()
    assert f"commit      {push.after}" in shown
    assert "state       succeeded" in shown
    missing = agent.home.estiba("agent", "logs", "7", check=False)
    assert (missing.returncode, missing.stderr.splitlines()[0]) == (1, "estiba: there is no build 7")


def test_nothing_of_the_clone_is_in_the_image(make_agent) -> None:
    """`COPY . .` takes the repository's files, and no .git with the address that it came from."""
    dockerfile = DOCKERFILE.replace("COPY page /www/index.html", "COPY . /www/")
    agent = make_agent(**{"index.html": "all of it"}, Dockerfile=dockerfile).start()
    push = agent.push()
    agent.deliver(push)
    agent.wait_for(push, "succeeded")
    names = agent.home.estiba("exec", "web", "ls", "-A", "/www").stdout.split()
    assert sorted(names) == ["Dockerfile", "index.html", "page"]


def test_a_doubled_delivery_is_built_once(agent) -> None:
    """The same hook again, with the same delivery id or another, is answered and changes nothing."""
    push = agent.push()
    answers = [agent.deliver(push) for _ in range(3)]
    assert answers == [(202, {"build": 1, "is_new": True})] + [(202, {"build": 1, "is_new": False})] * 2
    agent.wait_for(push, "succeeded")
    assert agent.deliver(push) == (202, {"build": 1, "is_new": False})
    assert agent.jobs() == [(push.after, "succeeded")]
    assert agent.log().count("clone ana/quotes") == 1


def test_a_hook_that_comes_late_does_not_bring_the_old_commit_back(agent) -> None:
    """The branch itself says which head it has: an older one is superseded, whenever its hook comes."""
    first, second = agent.push(), agent.push("the second page")
    agent.deliver(second)
    agent.wait_for(second, "succeeded")
    agent.deliver(first)
    agent.wait_for(first, "superseded")
    assert fetch(agent.page) == "the second page"
    assert agent.jobs() == [(second.after, "succeeded"), (first.after, "superseded")]
    assert agent.log(2) == ""


def test_a_hook_that_was_lost_is_made_good_by_the_next_older_one(agent) -> None:
    """Only the first push is told of: what is built is what the branch has now."""
    first, second = agent.push(), agent.push("the second page")
    agent.deliver(first)
    agent.wait_for(second, "succeeded")
    assert fetch(agent.page) == "the second page"
    assert agent.jobs() == [(first.after, "superseded"), (second.after, "succeeded")]


def test_two_agents_cannot_work_on_one_store(agent) -> None:
    command = [*agent.home.command, "agent", "serve", "--listen", "127.0.0.1:0", "--config", agent.config]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "another agent works on" in done.stderr
