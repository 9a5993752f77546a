"""Whatever ends the agent, and whenever: the build is taken up again, and nothing is left behind."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from agents import DOCKERFILE, fetch, processes_with
from waiting import wait_until

pytestmark = pytest.mark.root

MARK = "sleep 3011"
# The step waits for ever where the build is the first one; its cache tells the next.
SLOW = f"""\
FROM busybox
COPY page /www/index.html
ARG PATIENCE
RUN --mount=type=cache,target=/cache if [ -e /cache/begun ]; then echo again; else touch /cache/begun; {MARK}; fi
STOPSIGNAL SIGKILL
CMD ["httpd", "-f", "-p", "8000", "-h", "/www"]
"""


def begin(agent) -> object:
    """Delivers a push whose first build does not end, and waits until its command runs."""
    push = agent.push()
    agent.deliver(push)
    wait_until(lambda: any(each.strip() == MARK for each in processes_with(MARK)), "the build's step")
    return push


def nothing_is_left(agent) -> None:
    wait_until(lambda: processes_with(MARK) == [], "the step's processes to end")
    wait_until(lambda: _builds(agent) == [], "the step's directory to go")
    assert os.listdir(f"{agent.home.root}/agent/work") == []
    assert agent.home.run not in Path("/proc/self/mountinfo").read_text()


def _builds(agent) -> list[str]:
    try:
        return os.listdir(f"{agent.home.run}/builds")
    except FileNotFoundError:
        return []


def test_sigterm_gives_the_build_up_and_the_next_agent_builds_it(make_agent) -> None:
    """It ends within seconds; the step's processes, mounts and networks go, and the job waits."""
    agent = make_agent(Dockerfile=SLOW).start()
    push = begin(agent)
    assert agent.stop() == 0
    assert agent.jobs() == [(push.after, "queued")]
    nothing_is_left(agent)

    agent.start()
    agent.wait_for(push, "succeeded")
    assert fetch(agent.page) == "the first page"


def test_kill_9_in_the_middle_of_a_build_loses_nothing_and_leaves_nothing(make_agent) -> None:
    """The agent is gone at once; its steps follow it. The next agent builds what this one had begun."""
    agent = make_agent(Dockerfile=SLOW).start()
    push = begin(agent)
    agent.kill()
    assert agent.jobs() == [(push.after, "running")]
    wait_until(lambda: processes_with(MARK) == [], "the step's processes to end")

    agent.start()
    agent.wait_for(push, "succeeded")
    assert fetch(agent.page) == "the first page"
    assert "build 1 was cut; it is taken up again" in agent.said
    assert agent.home.estiba("agent", "show", "1").stdout.count("attempts    2") == 1
    agent.home.estiba("rm", "-f", "web")
    nothing_is_left(agent)


def test_kill_9_right_after_the_answer_loses_nothing(agent) -> None:
    """202 means that it is on the disk."""
    push = agent.push()
    assert agent.deliver(push)[0] == 202
    agent.kill()
    agent.start()
    agent.wait_for(push, "succeeded")
    assert fetch(agent.page) == "the first page"


@pytest.mark.slow
def test_kill_9_while_a_release_is_on_trial_brings_the_old_one_back(make_agent) -> None:
    """The new container was waiting for its first answer. The next agent puts the old one back before all else."""
    agent = make_agent().start()
    first = agent.push()
    agent.deliver(first)
    agent.wait_for(first, "succeeded")

    mute = "FROM busybox\nCOPY page /page\nSTOPSIGNAL SIGKILL\nCMD sleep 3012\n"
    second = agent.push("the second page", Dockerfile=mute)
    agent.deliver(second)
    wait_until(lambda: any(each.strip() == "sleep 3012" for each in processes_with("sleep 3012")), "the new release")
    agent.kill()
    assert agent.container_names() == ["web.next", "web.previous"]

    third = agent.push("the third page", Dockerfile="FROM busybox\nRUN exit 1\n")
    agent.start()
    agent.deliver(third)
    agent.wait_for(third, "failed")
    wait_until(lambda: fetch(agent.page) == "the first page", "the old release")

    fourth = agent.push("the fourth page", Dockerfile=DOCKERFILE)
    agent.deliver(fourth)
    agent.wait_for(fourth, "succeeded")
    assert fetch(agent.page) == "the fourth page"
    assert agent.container_names() == ["web"]
    assert processes_with("sleep 3012") == []


@pytest.mark.slow
@pytest.mark.long
def test_an_agent_ends_though_a_registry_does_not_answer(make_agent, registry) -> None:
    """The push waits for a server that says nothing; the job is taken up again by the next agent."""
    agent = make_agent()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        agent.change_config(f'image = "{registry.address}', f'image = "{address}')
        agent.start()
        push = agent.push()
        agent.deliver(push)
        connection, _ = mute.accept()
        with connection:
            begun = time.monotonic()
            assert agent.stop() == 0
            assert time.monotonic() - begun < 12
    assert "a build does not let go" in agent.said
    assert agent.jobs() == [(push.after, "running")]


def test_an_agent_ends_within_seconds_and_its_containers_go_on(agent) -> None:
    push = agent.push()
    agent.deliver(push)
    agent.wait_for(push, "succeeded")
    assert agent.stop() == 0
    assert fetch(agent.page) == "the first page"
