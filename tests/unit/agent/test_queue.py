"""The queue: every head once, whatever comes twice, late, or in another order; and what a dead agent leaves."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estiba.agent.pipeline import Job
from estiba.agent.queue import FAILED, QUEUED, RUNNING, SUCCEEDED, SUPERSEDED, Accepted, NoSuchBuild, Queue
from estiba.errors import Conflict
from estiba.store.database import Database


def job(commit: str, branch: str = "main", repository: str = "acme/quotes") -> Job:
    return Job(repository, branch, commit, f"message of {commit}")


@pytest.fixture
def database(tmp_path) -> Iterator[Database]:
    database = Database.open(str(tmp_path / "queue.db"))
    yield database
    database.close()


@pytest.fixture
def queue(database) -> Queue:
    return Queue(database, owner="us")


def states(queue: Queue) -> dict[str, str]:
    return {record.commit: record.state for record in reversed(queue.latest())}


def test_a_delivery_is_a_job_which_is_claimed_and_done(queue) -> None:
    assert queue.accept("d1", job("a")) == Accepted(1, True)
    record = queue.claim()
    assert (record.id, record.job, record.state, record.attempts) == (1, job("a"), RUNNING, 1)
    queue.succeed(1, "sha256:1")
    done = queue.get(1)
    assert (done.state, done.image, done.error, done.finished > 0) == (SUCCEEDED, "sha256:1", "", True)
    assert queue.claim() is None


def test_the_same_delivery_or_the_same_head_again_changes_nothing(queue) -> None:
    queue.accept("d1", job("a"))
    assert queue.accept("d1", job("a")) == Accepted(1, False)
    assert queue.accept("d2", job("a")) == Accepted(1, False)
    queue.claim()
    assert queue.accept("d3", job("a")) == Accepted(1, False)
    queue.succeed(1, "sha256:1")
    assert queue.accept("d4", job("a")) == Accepted(1, False)
    assert states(queue) == {"a": SUCCEEDED}


def test_a_delivery_that_comes_again_after_a_newer_one_changes_nothing(queue) -> None:
    queue.accept("d1", job("a"))
    queue.accept("d2", job("b"))
    assert queue.accept("d1", job("a")) == Accepted(1, False)
    assert states(queue) == {"a": SUPERSEDED, "b": QUEUED}


def test_a_newer_head_supersedes_those_that_wait_on_its_branch_alone(queue) -> None:
    queue.accept("d1", job("a"))
    queue.accept("d2", job("x", "other"))
    queue.accept("d3", job("y", repository="acme/other"))
    queue.accept("d4", job("b"))
    assert states(queue) == {"a": SUPERSEDED, "x": QUEUED, "y": QUEUED, "b": QUEUED}
    assert queue.get(1).error == "b came after it"


def test_what_runs_goes_on_when_a_newer_head_comes_and_the_branch_is_built_by_one_at_a_time(queue) -> None:
    queue.accept("d1", job("a"))
    queue.claim()
    queue.accept("d2", job("b"))
    assert queue.claim() is None
    queue.accept("d3", job("x", "other"))
    assert queue.claim().commit == "x"
    queue.succeed(1, "sha256:1")
    assert queue.claim().commit == "b"


def test_a_branch_that_goes_back_to_an_older_head_is_built_again(queue) -> None:
    for number, commit in enumerate("ab"):
        queue.accept(f"d{number}", job(commit))
        queue.succeed(queue.claim().id, "sha256:1")
    assert queue.accept("d9", job("a")) == Accepted(1, True)
    record = queue.get(1)
    assert (record.state, record.attempts, record.image, record.finished) == (QUEUED, 0, "", 0)
    assert queue.claim().commit == "a"
    assert queue.accept("d10", job("a")) == Accepted(1, False)


def test_a_branch_that_goes_back_to_what_is_running_needs_nothing(queue) -> None:
    queue.accept("d1", job("a"))
    queue.claim()
    queue.accept("d2", job("b"))
    assert queue.accept("d3", job("a")) == Accepted(1, False)
    assert states(queue) == {"a": RUNNING, "b": SUPERSEDED}


def test_a_branch_that_goes_back_before_its_new_head_was_begun_needs_nothing(queue) -> None:
    queue.accept("d1", job("a"))
    queue.succeed(queue.claim().id, "sha256:1")
    queue.accept("d2", job("b"))
    assert queue.accept("d3", job("a")) == Accepted(1, False)
    assert states(queue) == {"a": SUCCEEDED, "b": SUPERSEDED}


def test_a_branch_that_goes_back_after_an_agent_died_with_its_new_head_is_built_again(queue, database) -> None:
    """That agent may have deployed it before it died."""
    queue.accept("d1", job("a"))
    queue.succeed(queue.claim().id, "sha256:1")
    queue.accept("d2", job("b"))
    queue.claim()
    after = Queue(database, owner="the next")
    after.recover()
    assert after.accept("d3", job("a")) == Accepted(1, True)
    assert states(after) == {"a": QUEUED, "b": SUPERSEDED}


def test_a_late_hook_gives_way_to_the_head_that_was_built_already(queue) -> None:
    queue.accept("d1", job("b"))
    queue.succeed(queue.claim().id, "sha256:1")
    queue.accept("d2", job("a"))
    assert queue.claim().commit == "a"
    assert queue.move_on(2, job("b")) == Accepted(1, False)
    assert states(queue) == {"b": SUCCEEDED, "a": SUPERSEDED}


def test_a_head_that_no_hook_told_of_is_built_too(queue) -> None:
    queue.accept("d1", job("a"))
    queue.claim()
    assert queue.move_on(1, job("b")) == Accepted(2, True)
    assert states(queue) == {"a": SUPERSEDED, "b": QUEUED}


def test_a_failed_build_is_not_repeated_by_its_hook_but_by_a_person(queue) -> None:
    queue.accept("d1", job("a"))
    queue.claim()
    queue.fail(1, "because")
    assert queue.accept("d2", job("a")) == Accepted(1, False)
    assert queue.get(1).error == "because"
    queue.retry(1)
    assert states(queue) == {"a": QUEUED}
    with pytest.raises(Conflict, match="build 1 is queued already"):
        queue.retry(1)


def test_a_build_that_is_given_back_waits_again_and_that_was_no_attempt(queue) -> None:
    queue.accept("d1", job("a"))
    queue.claim()
    queue.give_back(1)
    assert queue.get(1).state == QUEUED
    assert queue.claim().attempts == 1


def test_a_new_agent_takes_up_what_a_dead_one_was_running(queue, database) -> None:
    queue.accept("d1", job("a"))
    queue.accept("d2", job("x", "other"))
    queue.claim()
    after = Queue(database, owner="the next")
    assert after.recover() == (1,)
    assert states(after) == {"a": QUEUED, "x": QUEUED}
    assert after.claim().attempts == 2
    assert after.recover() == ()


def test_a_job_that_ends_its_agent_three_times_has_failed(queue, database) -> None:
    queue.accept("d1", job("a"))
    for number in range(3):
        agent = Queue(database, owner=f"agent {number}")
        agent.recover()
        assert agent.claim().attempts == number + 1
    assert queue.recover() == ()
    assert (queue.get(1).state, queue.get(1).error) == (FAILED, "the agent died while it was built, 3 times")


def test_an_agent_that_lost_its_job_cannot_end_it(queue, database) -> None:
    """It was stopped for a while, and another has taken over."""
    queue.accept("d1", job("a"))
    queue.claim()
    other = Queue(database, owner="other")
    other.recover()
    other.claim()
    queue.fail(1, "late")
    queue.give_back(1)
    assert queue.get(1).state == RUNNING
    other.succeed(1, "sha256:1")
    assert queue.get(1).state == SUCCEEDED


def test_what_was_accepted_is_there_after_reopening(queue, database, tmp_path) -> None:
    queue.accept("d1", job("a"))
    database.close()
    again = Database.open(str(tmp_path / "queue.db"))
    assert Queue(again, owner="x").get(1).job == job("a")
    again.close()


def test_a_build_that_is_not_there_is_told(queue) -> None:
    with pytest.raises(NoSuchBuild, match="there is no build 7"):
        queue.get(7)
    with pytest.raises(NoSuchBuild):
        queue.retry(7)


def test_each_job_is_claimed_by_one_of_many(tmp_path) -> None:
    """Several threads, each with a queue of its own on the same file."""
    database = Database.open(str(tmp_path / "queue.db"))
    queue = Queue(database, owner="feeder")
    for number in range(40):
        queue.accept(f"d{number}", job(f"c{number}", f"branch{number}"))
    claimed: list[int] = []

    def work(name: str) -> None:
        mine = Database.open(str(tmp_path / "queue.db"))
        own = Queue(mine, owner=name)
        while (record := own.claim()) is not None:
            claimed.append(record.id)
            own.succeed(record.id, "sha256:1")
        mine.close()

    threads = [threading.Thread(target=work, args=(f"worker {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.close()
    assert sorted(claimed) == list(range(1, 41))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_however_hooks_come_the_head_of_the_branch_is_built_in_the_end(tmp_path_factory, data) -> None:
    """Hooks lost, doubled and in any order, but for one that arrives at last; an agent that dies now and then."""
    commits = data.draw(st.lists(st.sampled_from("abcde"), min_size=1, max_size=8))
    hooks = data.draw(st.lists(st.integers(0, len(commits) - 1), max_size=12))
    head = commits[-1]
    database = Database.open(str(tmp_path_factory.mktemp("queue") / "queue.db"))
    queue = Queue(database, owner="first")
    built: list[str] = []

    def work_off() -> None:
        nonlocal queue
        while (record := queue.claim()) is not None:
            fate = data.draw(st.sampled_from(["goes on", "goes on", "dies"])) if record.attempts < 3 else "goes on"
            if fate == "dies":
                queue = Queue(database, owner=f"after {record.id}.{record.attempts}.{len(built)}")
                queue.recover()
            elif record.commit != head:
                queue.move_on(record.id, job(head))
            else:
                built.append(record.commit)
                queue.succeed(record.id, "sha256:1")

    for number in [*hooks, len(commits) - 1]:
        queue.accept(f"d{number}", job(commits[number]))
        if data.draw(st.booleans()):
            work_off()
    work_off()
    database.close()
    assert built == [head]
