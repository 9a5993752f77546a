"""Workers: threads that take jobs off the queue until they are told to stop."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable
from typing import TextIO

from estiba.agent.config import AgentConfig
from estiba.agent.pipeline import Job
from estiba.agent.queue import JobRecord, Queue
from estiba.agent.work import Moved, Work
from estiba.errors import EstibaError
from estiba.graph.cancellation import Cancellation, Cancelled

_LOOKS_AGAIN = 2.0  # seconds; a worker is woken for what this agent itself accepts


class Workers:
    """Runs `config.workers` at once. `logs` is the directory of the jobs' logs, ``NUMBER.log``."""

    def __init__(self, config: AgentConfig, queue: Queue, work: Work, *, logs: str, say: Callable[[str], None]) -> None:
        self._config = config
        self._queue = queue
        self._work = work
        self._logs = logs
        self._say = say
        self._changed = threading.Condition()
        self._cancellation = Cancellation()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Take up what an agent before us left, and begin."""
        os.makedirs(self._logs, mode=0o700, exist_ok=True)
        self._work.clear()
        for number in self._queue.recover():
            self._say(f"build {number} was cut; it is taken up again")
        self._threads = [
            threading.Thread(target=self._run, name=f"worker-{number}", daemon=True)
            for number in range(1, self._config.workers + 1)
        ]
        self._threads.append(threading.Thread(target=self._repair, name="repair", daemon=True))
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Something was put on the queue."""
        with self._changed:
            self._changed.notify_all()

    def stop(self, patience: float) -> bool:
        """Give up what is running, which waits again; False where it has not let go after `patience` seconds."""
        self._cancellation.set()
        self.wake()
        deadline = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        left = [thread for thread in self._threads if thread.is_alive()]
        if left:
            self._say("a build does not let go; it is cut, and taken up again at the next start")
        return not left

    def _run(self) -> None:
        while not self._cancellation.is_set:
            try:
                record = self._queue.claim()
                if record is not None:
                    self._do(record)
                    continue
            except (EstibaError, OSError) as error:  # the disk is full, say: nothing is lost, and it is tried again
                self._say(f"the queue cannot be worked on: {error}")
            self._wait()

    def _repair(self) -> None:
        """Put right what a dead agent was deploying, whatever becomes of its job: the app may be down."""
        for repository in self._config.repositories:
            if repository.deploy is not None and not self._cancellation.is_set:
                self._work.repair(repository.deploy.name, say=self._say)

    def _wait(self) -> None:
        with self._changed:
            if not self._cancellation.is_set:
                self._changed.wait(_LOOKS_AGAIN)

    def _do(self, record: JobRecord) -> None:
        self._say(f"{_title(record)} begins")
        try:
            with open(f"{self._logs}/{record.id}.log", "a", encoding="utf-8", errors="replace") as log:
                self._insist(self._outcome(record, log))
        except OSError as error:
            words = f"its log cannot be written: {error.strerror}"
            self._insist(lambda: self._queue.fail(record.id, words))

    def _outcome(self, record: JobRecord, log: TextIO) -> Callable[[], None]:
        """Do the job; gives what is to be recorded."""
        try:
            return self._worked(record, log)
        except EstibaError as error:
            if isinstance(error, Cancelled) and self._cancellation.is_set:
                self._say(f"{_title(record)} was given up; it waits again")
                return lambda: self._queue.give_back(record.id)
            return self._failed(record, log, error.message, str(error))
        except Exception as error:  # noqa: BLE001 - a defect ends this job, never the agent
            words = f"{type(error).__name__}: {error}"
            return self._failed(record, log, words, traceback.format_exc())

    def _worked(self, record: JobRecord, log: TextIO) -> Callable[[], None]:
        repository = self._config.find(record.repository)
        if repository is None or repository.branch != record.branch:
            words = f"{record.branch} of {record.repository} is not in the configuration any more"
            return self._failed(record, log, words, words)
        of_this_job = Cancellation()  # a build that fails sets it, to end its other steps
        forget = self._cancellation.on_set(of_this_job.set)
        try:
            outcome = self._work.do(record.job, repository, log=log, cancellation=of_this_job)
        finally:
            forget()
        if isinstance(outcome, Moved):
            self._say(f"{_title(record)}: the branch has moved on to {outcome.head[:12]}")
            return lambda: self._move_on(record, outcome.head)
        self._say(f"{_title(record)} is done: image {outcome.image_id.short}")
        return lambda: self._queue.succeed(record.id, str(outcome.image_id))

    def _move_on(self, record: JobRecord, head: str) -> None:
        self._queue.move_on(record.id, Job(record.repository, record.branch, head))
        self.wake()

    def _failed(self, record: JobRecord, log: TextIO, words: str, whole: str) -> Callable[[], None]:
        print(f"FAILED: {whole}", file=log, flush=True)
        self._say(f"{_title(record)} failed: {words.strip().rpartition(chr(10))[2]}")
        return lambda: self._queue.fail(record.id, words)

    def _insist(self, write: Callable[[], None]) -> None:
        """Record how a job ended; where that cannot be, try until it can, or until we stop: then it is built again."""
        while True:
            try:
                return write()
            except EstibaError as error:
                self._say(f"the queue cannot be written: {error}")
            if self._cancellation.is_set:
                return None
            self._wait()


def _title(record: JobRecord) -> str:
    return f"build {record.id} of {record.repository} {record.commit[:12]}"
