"""python -m bench [--images] [--runs N] [--scale F] [--only ROW]... [--output FILE]"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench import machine, table
from bench.arena import Arena, arena
from bench.disk import own_disk
from bench.measure import Row, interleave
from bench.rows import (
    build,
    container_start,
    copy_files,
    docker_command,
    image_lists,
    large_images,
    manifest_requests,
    memory,
    packing,
    push_pull,
    running_container,
    runtime,
    unpacking,
)
from bench.workspace import CommandFailed

ROWS: dict[str, Callable[[Arena], Row]] = {
    "start": container_start.row,
    "start-network": container_start.row_with_network,
    "start-many": container_start.at_once,
    "exec": running_container.enter,
    "ps": running_container.list_,
    "docker-run": docker_command.run,
    "docker-exec": docker_command.enter,
    "docker-ps": docker_command.list_,
    "runtime": runtime.row,
    "runtime-warm": runtime.warm,
    "build": build.uncached,
    "build-cached": build.cached,
    "push": push_pull.push,
    "pull": push_pull.pull,
    "manifests": manifest_requests.row,
}
IMAGE_ROWS: dict[str, Callable[[Arena], Row]] = {
    "pack-files": packing.small_files,
    "pack-text": packing.text,
    "pack-noise": packing.noise,
    "unpack-files": unpacking.small_files,
    "unpack-text": unpacking.text,
    "unpack-four": unpacking.four_layers,
    **{
        f"{word}-{size}": partial(row, make)
        for size, make in (("files", large_images.small_files), ("large", large_images.large))
        for word, row in (
            ("push", large_images.push),
            ("pull", large_images.pull),
            ("copy-to", large_images.copy_to_registry),
            ("copy-from", large_images.copy_from_registry),
            ("load", large_images.load_archive),
            ("save", large_images.save_archive),
        )
    },
    "copy": copy_files.row,
    "memory": memory.row,
    "images": image_lists.images,
    "inspect": image_lists.inspect,
    "df": image_lists.disk_use,
}
_RUNS, _IMAGE_RUNS = 10, 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--images", action="store_true", help="the rows about layers and images, which take long")
    parser.add_argument("--runs", type=int, help=f"how often each contender runs ({_RUNS}; images: {_IMAGE_RUNS})")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies sizes and counts (default: 1)")
    parser.add_argument("--only", action="append", metavar="ROW", help="just this row; may be given again")
    parser.add_argument(
        "--output",
        type=Path,
        help="the page (default: docs/benchmarks.md); with --only it is written where it is named",
    )
    arguments = parser.parse_args()
    rows = IMAGE_ROWS if arguments.images else ROWS
    unknown = [name for name in arguments.only or () if name not in rows]
    if unknown:
        parser.error(f"there is no row {unknown[0]!r}; there are {', '.join(rows)}")
    if os.geteuid() != 0:
        print("The benchmarks run containers with a network, which needs root: sudo make bench", file=sys.stderr)
        return 1
    runs = arguments.runs or (_IMAGE_RUNS if arguments.images else _RUNS)
    sections: list[str] = []
    failed = False
    with ExitStack() as stack:
        clock = stack.enter_context(machine.group_clock()) if arguments.images else machine.cpu_clock()
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="est-bench-")))
        if arguments.images:
            place = stack.enter_context(own_disk(place))
        all_ = stack.enter_context(arena(place, scale=arguments.scale))
        for name in arguments.only or rows:
            try:
                row = rows[name](all_)
                results = interleave(row.contenders, runs=runs, warm_ups=1, clock=time.perf_counter, cpu_clock=clock)
            except CommandFailed as failure:
                print(f"{name}: {failure}", file=sys.stderr)
                failed = True
                continue
            sections.append(table.section(row._replace(note=f"{row.note} {runs} runs."), results))
            print(sections[-1], flush=True)
    output = arguments.output or (None if arguments.only else Path("docs/benchmarks.md"))
    if output is not None and not failed:
        old = output.read_text() if output.exists() else ""
        output.write_text(table.page(machine.describe(), sections, old=old))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
