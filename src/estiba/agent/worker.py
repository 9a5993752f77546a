"""Workers: threads that take jobs off the queue until they are told to stop."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TextIO

from estiba.agent.config import AgentConfig
from estiba.agent.pipeline import Job
from estiba.agent.queue import JobRecord, Queue
from estiba.agent.work import Moved, Work
from estiba.errors import EstibaError
from estiba.graph.cancellation import Cancellation, Cancelled

_LOOKS_AGAIN = 30.0  # seconds; a worker is woken for what this agent itself accepts


class Workers:
    """Runs `config.workers` at once. `logs` is the directory of the jobs' logs, ``NUMBER.log``."""

    def __init__(self, config: AgentConfig, queue: Queue, work: Work, *, logs: str, say: Callable[[str], None]) -> None:
        self._config = config
        self._queue = queue
        self._work = work
        self._logs = logs
        self._say = say
        self._wake = threading.Condition()
        self._cancellation = Cancellation()
        self._threads = [
            threading.Thread(target=self._run, name=f"worker-{number}", daemon=True)
            for number in range(1, config.workers + 1)
        ]

    def start(self) -> None:
        os.makedirs(self._logs, mode=0o700, exist_ok=True)
        for number in self._queue.recover():
            self._say(f"build {number} was cut; it is taken up again")
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Something was put on the queue."""
        with self._wake:
            self._wake.notify_all()

    def stop(self) -> None:
        """Give up what is running, which waits again, and end."""
        self._cancellation.set()
        self.wake()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._cancellation.is_set:
            record = self._queue.claim()
            if record is not None:
                self._do(record)
                continue
            with self._wake:
                if not self._cancellation.is_set:
                    self._wake.wait(_LOOKS_AGAIN)

    def _do(self, record: JobRecord) -> None:
        self._say(f"build {record.id} of {record.repository} {record.commit[:12]} begins")
        with open(f"{self._logs}/{record.id}.log", "a", encoding="utf-8", errors="replace") as log:
            try:
                self._finish(record, log)
            except Cancelled:
                self._queue.give_back(record.id)
                self._say(f"build {record.id} was given up; it waits again")
            except EstibaError as error:
                self._fail(record, error.message, f"{error}", log)
            except Exception as error:  # noqa: BLE001 - a defect ends this job, never the agent
                self._fail(record, f"{type(error).__name__}: {error}", repr(error), log)

    def _finish(self, record: JobRecord, log: TextIO) -> None:
        repository = self._config.find(record.repository)
        if repository is None:
            self._queue.finish(record.id, error=f"{record.repository} is not in the configuration any more")
            return
        outcome = self._work.do(record.job, repository, log=log, cancellation=self._cancellation)
        if isinstance(outcome, Moved):
            self._queue.supersede(record.id, f"the branch has moved on to {outcome.head}")
            self._queue.enter(Job(record.repository, record.branch, outcome.head))
            self._say(f"build {record.id}: the branch has moved on to {outcome.head[:12]}")
            return
        self._queue.finish(record.id, image=str(outcome.image_id))
        self._say(f"build {record.id} of {record.repository} {record.commit[:12]} runs as {outcome.image_id.short}")

    def _fail(self, record: JobRecord, words: str, whole: str, log: TextIO) -> None:
        print(f"FAILED: {whole}", file=log, flush=True)
        self._queue.finish(record.id, error=words)
        self._say(f"build {record.id} of {record.repository} {record.commit[:12]} failed: {words.splitlines()[-1]}")
