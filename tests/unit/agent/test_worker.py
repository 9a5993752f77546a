"""Workers: what they record of a job, and that neither a defect nor a full disk ends them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from estiba.agent.config import AgentConfig, Repository
from estiba.agent.pipeline import Job
from estiba.agent.queue import FAILED, QUEUED, SUCCEEDED, SUPERSEDED, Queue
from estiba.agent.work import Built, Moved
from estiba.agent.worker import Workers
from estiba.errors import EstibaError, Unavailable
from estiba.graph.cancellation import Cancellation, Cancelled
from estiba.oci.digest import Digest
from estiba.store.database import Database
from waiting import wait_until

IMAGE = Digest.of(b"image")
CONFIG = AgentConfig(
    (Repository("ana/q", "/q.git", "main", b"s", ".", "Dockerfile", "localhost:5000/q", ("latest",), (), (), None),)
)
JOB = Job("ana/q", "main", "a" * 40)


class FakeWork:
    """Does with each job what `outcomes` says of its commit."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Callable[[Cancellation], object]] = {}
        self.is_cleared = False

    def clear(self) -> None:
        self.is_cleared = True

    def do(self, job: Job, repository: Repository, *, log, cancellation: Cancellation) -> object:
        log.write("it says this\n")
        return self.outcomes.get(job.commit, lambda cancellation: Built(IMAGE))(cancellation)


class Shop:
    def __init__(self, directory: Path) -> None:
        self.database = Database.open(str(directory / "queue.db"))
        self.queue = Queue(self.database, owner="us")
        self.work = FakeWork()
        self.said: list[str] = []
        self.logs = directory / "logs"
        self.workers = Workers(CONFIG, self.queue, self.work, logs=str(self.logs), say=self.said.append)

    def state(self, number: int = 1) -> str:
        return self.queue.get(number).state


@pytest.fixture
def shop(tmp_path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    assert shop.workers.stop(10)
    shop.database.close()


def raises(error: BaseException) -> Callable[[Cancellation], object]:
    def do(cancellation: Cancellation) -> object:
        raise error

    return do


def test_a_job_that_is_done_has_its_image_and_its_log(shop) -> None:
    shop.workers.start()
    shop.queue.accept("d1", JOB)
    shop.workers.wake()
    wait_until(lambda: shop.state() == SUCCEEDED, "the job")
    assert shop.queue.get(1).image == str(IMAGE)
    assert (shop.logs / "1.log").read_text() == "it says this\n"
    assert shop.work.is_cleared
    assert shop.said[0] == "build 1 of ana/q aaaaaaaaaaaa begins"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (EstibaError("line 1\nline 2", remedy="do this"), "line 1\nline 2"),
        (Unavailable(""), ""),
        (ZeroDivisionError("a defect"), "ZeroDivisionError: a defect"),
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
    ],
)
def test_whatever_goes_wrong_ends_the_job_and_not_the_worker(shop, error: Exception, words: str) -> None:
    shop.work.outcomes[JOB.commit] = raises(error)
    shop.queue.accept("d1", JOB)
    shop.workers.start()
    wait_until(lambda: shop.state() == FAILED, "the job")
    assert shop.queue.get(1).error == words
    shop.queue.accept("d2", JOB._replace(commit="b" * 40))
    shop.workers.wake()
    wait_until(lambda: shop.state(2) == SUCCEEDED, "the next job")


def test_a_build_that_cancels_its_other_steps_ends_no_worker(shop) -> None:
    """A failing step sets the cancellation that its build was given."""

    def fail(cancellation: Cancellation) -> object:
        cancellation.set()
        raise Cancelled

    shop.work.outcomes[JOB.commit] = fail
    shop.queue.accept("d1", JOB)
    shop.workers.start()
    wait_until(lambda: shop.state() == FAILED, "the job")
    shop.queue.accept("d2", JOB._replace(commit="b" * 40))
    shop.workers.wake()
    wait_until(lambda: shop.state(2) == SUCCEEDED, "the next job")


def test_a_branch_that_has_moved_on_is_built_at_its_head(shop) -> None:
    shop.work.outcomes[JOB.commit] = lambda cancellation: Moved("b" * 40)
    shop.queue.accept("d1", JOB)
    shop.workers.start()
    wait_until(lambda: len(shop.queue.latest()) == 2 and shop.state(2) == SUCCEEDED, "the head")
    assert shop.state() == SUPERSEDED


def test_what_is_not_watched_any_more_is_told(shop) -> None:
    shop.queue.accept("d1", JOB._replace(branch="old"))
    shop.workers.start()
    wait_until(lambda: shop.state() == FAILED, "the job")
    assert shop.queue.get(1).error == "old of ana/q is not in the configuration any more"


def test_a_log_that_cannot_be_written_is_told(shop) -> None:
    (shop.logs / "1.log").mkdir(parents=True)
    shop.queue.accept("d1", JOB)
    shop.workers.start()
    wait_until(lambda: shop.state() == FAILED, "the job")
    assert shop.queue.get(1).error == "its log cannot be written: Is a directory"


def test_stopping_gives_the_job_back(shop) -> None:
    begun = threading.Event()

    def wait(cancellation: Cancellation) -> object:
        given_up = threading.Event()
        cancellation.on_set(given_up.set)
        begun.set()
        given_up.wait(10)
        cancellation.raise_if_set()
        return Built(IMAGE)

    shop.work.outcomes[JOB.commit] = wait
    shop.queue.accept("d1", JOB)
    shop.workers.start()
    assert begun.wait(10)
    assert shop.workers.stop(10)
    assert (shop.state(), shop.queue.get(1).attempts) == (QUEUED, 0)


def test_a_job_that_does_not_let_go_is_told_and_left_to_the_next_agent(shop) -> None:
    begun, end = threading.Event(), threading.Event()

    def hang(cancellation: Cancellation) -> object:
        begun.set()
        end.wait(10)
        raise Unavailable("late")

    shop.work.outcomes[JOB.commit] = hang
    shop.queue.accept("d1", JOB)
    shop.workers.start()
    assert begun.wait(10)
    assert not shop.workers.stop(0.01)
    assert "a build does not let go" in shop.said[-1]
    end.set()


def test_a_queue_that_cannot_be_written_for_a_while_loses_nothing(shop, monkeypatch) -> None:
    """The disk is full when the job's end is to be recorded."""
    succeed, attempts = shop.queue.succeed, []

    def full_at_first(number: int, image: str) -> None:
        attempts.append(number)
        if len(attempts) == 1:
            shop.workers.wake()
            raise Unavailable("the disk is full")
        succeed(number, image)

    monkeypatch.setattr(shop.queue, "succeed", full_at_first)
    shop.queue.accept("d1", JOB)
    shop.workers.start()
    wait_until(lambda: shop.state() == SUCCEEDED, "the job")
    assert "the queue cannot be written: the disk is full" in shop.said
    assert attempts == [1, 1]
