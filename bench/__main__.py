"""python -m bench [--runs N] [--scale F] [--only WORD]... [--output FILE]"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import machine, table
from bench.arena import Arena, arena
from bench.measure import Row, interleave
from bench.rows import build, container_start, copy_files, manifest_requests, push_pull, running_container, runtime
from bench.workspace import CommandFailed

ROWS: dict[str, Callable[[Arena], Row]] = {
    "start": container_start.row,
    "start-network": container_start.row_with_network,
    "exec": running_container.enter,
    "ps": running_container.list_,
    "runtime": runtime.row,
    "build": build.uncached,
    "build-cached": build.cached,
    "copy": copy_files.row,
    "push": push_pull.push,
    "pull": push_pull.pull,
    "manifests": manifest_requests.row,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="how often each contender runs (default: 10)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies sizes and counts (default: 1)")
    parser.add_argument("--only", action="append", choices=list(ROWS), help="just this row; may be given again")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks.md"))
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("The benchmarks run containers with a network, which needs root: sudo make bench", file=sys.stderr)
        return 1
    sections = []
    failed = False
    with tempfile.TemporaryDirectory(prefix="est-bench-") as place, arena(Path(place), scale=arguments.scale) as all_:
        for name in arguments.only or ROWS:
            try:
                row = ROWS[name](all_)
                results = interleave(
                    row.contenders,
                    runs=arguments.runs,
                    warm_ups=1,
                    clock=time.perf_counter,
                    cpu_clock=machine.cpu_clock(),
                )
            except CommandFailed as failure:
                print(f"{name}: {failure}", file=sys.stderr)
                failed = True
                continue
            sections.append(table.section(row, results))
            print(sections[-1], flush=True)
    if not failed and not arguments.only:
        arguments.output.write_text(table.page(machine.describe(), sections, runs=arguments.runs))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
