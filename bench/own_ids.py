"""python -m bench.own_ids [--runs N]: what ids of its own (`--userns=auto`) cost a container, and a RUN of a build.

Each work is done with the host's ids and with its own in turn. CPU seconds are getrusage(2)'s of every process that a
command leaves, its monitor included: they become our children, and are waited for.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.measure import Contender, Result, interleave
from bench.workspace import call
from estiba.linux.processes import become_subreaper

_CHOICES = ("host", "auto")
_FILES = "mkdir /w; i=0; while [ $i -lt 3000 ]; do : > /w/$i; i=$((i+1)); done; ls -lR / >/dev/null; rm -r /w"


class Work(NamedTuple):
    """Something to be done with ids that a `--userns` names."""

    title: str
    do: Callable[[str], None]


def works(estiba: list[str], context: Path) -> list[Work]:
    """Everything that is measured, in an installation that has the image `busybox`."""

    def run(network: str, *command: str) -> Callable[[str], None]:
        return lambda ids: call(
            [*estiba, "run", "--rm", f"--userns={ids}", f"--network={network}", "busybox", *command]
        )

    def enter(ids: str) -> None:
        call([*estiba, "run", "-d", "--name", ids, f"--userns={ids}", "--network=none", "busybox", "sleep", "1000"])
        for _ in range(5):
            call([*estiba, "exec", ids, "true"])
        call([*estiba, "rm", "-f", ids])

    def build(ids: str) -> None:
        call([*estiba, "build", "-q", "--no-cache", f"--userns={ids}", "--network=none", str(context)])

    return [
        Work("`run --rm --network none busybox true`", run("none", "true")),
        Work("`run --rm busybox true`, bridge", run("bridge", "true")),
        Work("start, five `exec true`, remove", enter),
        Work("3 000 files made, listed and removed", run("none", "sh", "-c", _FILES)),
        Work("`build` of three RUN", build),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.own_ids", description=__doc__)
    parser.add_argument("--runs", type=int, default=30)
    runs = parser.parse_args().runs
    if os.geteuid() != 0:
        print("Ids of its own take root: sudo .venv/bin/python -m bench.own_ids", file=sys.stderr)
        return 1
    become_subreaper()
    with tempfile.TemporaryDirectory(prefix="est-ids-") as directory:
        (context := Path(directory, "context")).mkdir()
        (context / "Dockerfile").write_text("FROM busybox\nRUN touch /one\nRUN touch /two\nRUN rm /one\n")
        program = os.path.join(os.path.dirname(sys.executable), "estiba")
        estiba = [program, "--root", f"{directory}/root", "--run", f"{directory}/run"]
        call([*estiba, "bootstrap", "busybox"])
        print(f"| work ({runs} runs each) | CPU host | CPU own | | wall host | wall own | |")
        print("|---|---|---|---|---|---|---|")
        for work in works(estiba, context):
            contenders = [Contender(ids, _waited(work, ids)) for ids in _CHOICES]
            results = interleave(contenders, runs=runs, warm_ups=2, clock=time.perf_counter, cpu_clock=_cpu)
            print(_line(work.title, *results), flush=True)
        call([*estiba, "network", "prune", "-f"])
    return 0


def _waited(work: Work, ids: str) -> Callable[[], None]:
    def run() -> None:
        work.do(ids)
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return

    return run


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _line(title: str, host: Result, own: Result) -> str:
    cells = [title]
    for name in ("cpu", "wall"):
        one, other = (statistics.median(getattr(s, name) for s in result.samples) for result in (host, own))
        cells += [f"{one:.4f}", f"{other:.4f}", f"{other / one:.3f}"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
