"""Results as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.measure import Result, Row

_HEAD = (
    "# Benchmarks\n\n"
    "Written by `make bench` and `make bench-images`. Every row runs its contenders in turn on the same "
    "machine, after a warm-up. Times are medians. CPU is the busy time of the whole machine during a run, and "
    "in the rows about layers and images that of everything that the benchmark started: so daemons count. The "
    "last two columns are multiples of the first line (above 1: it takes longer).\n\n"
    "The rows about layers and images work on a disk of the benchmark's own, a new ext4 in a file. They are: "
    "packing 10,000 small files, 500 MB of text and 500 MB of random bytes beside `tar | pigz -1` with both "
    "digests; unpacking a layer beside `tar -xz`, umoci and `podman load`, and four layers at once and one "
    "after the other; push, pull, load and save of an image of 20,000 small files and of one of 1 GB beside "
    "Docker and Podman, and `copy` beside skopeo, all with docker-registry; COPY of many small files; the peak "
    "of memory; `images`, `inspect` and `df` with 1,000 images. The layers that are unpacked, pulled and "
    "copied are GNU tar's, compressed by pigz.\n\n"
)


def section(row: Row, results: Sequence[Result]) -> str:
    """A row's heading, table and the peers that are missing."""
    with_rate = row.operations > 1
    with_memory = any(result.memory for result in results)
    rate = " per second |" if with_rate else " peak memory |" if with_memory else ""
    lines = [f"## {row.title}", "", row.note, ""]
    lines += [f"| | median | fastest |{rate} CPU | wall, of {results[0].name} | CPU, of {results[0].name} |"]
    lines += ["|---|--:|--:|" + ("--:|" if rate else "") + "--:|--:|--:|"]
    base = results[0]
    for result in results:
        speed = f" {row.operations / result.wall:,.0f} |" if with_rate else ""
        if with_memory:
            speed = f" {result.memory / 1e6:.0f} MB |"
        lines.append(
            f"| {result.name} | {seconds(result.wall)} | {seconds(result.fastest)} |{speed} {seconds(result.cpu)} "
            f"| {ratio(result.wall, base.wall)} | {ratio(result.cpu, base.cpu)} |"
        )
    lines += [f"| {name} | not measured: {why} |" + " |" * (4 + bool(rate)) for name, why in row.missing.items()]
    return "\n".join(lines) + "\n"


_ELSEWHERE = "Measured on another machine: "


def page(machine: str, sections: Iterable[str], *, old: str = "") -> str:
    """The whole page: `sections` in the place of those of the same title in the `old` page, new ones at its end.

    A section that stays and was measured on another machine says so.
    """
    head, *parts = old.split("\n## ")
    before = head.rstrip("\n").rpartition("\n")[2]
    kept = {_title(part): f"## {_with_machine(part, before, machine)}" for part in parts}
    for section in sections:
        kept[_title(section.removeprefix("## "))] = section
    head = f"{_HEAD}{machine}\n"
    return head + "\n" + "\n".join(section.rstrip("\n") + "\n" for section in kept.values())


def _with_machine(section: str, before: str, machine: str) -> str:
    """The section of a page whose machine was `before`, on a page whose machine is `machine`."""
    title, _, content = section.partition("\n\n")
    if content.startswith(_ELSEWHERE):
        before, _, content = content.removeprefix(_ELSEWHERE).partition("\n\n")
    mark = "" if before == machine else f"{_ELSEWHERE}{before}\n\n"
    return f"{title}\n\n{mark}{content}"


def _title(section: str) -> str:
    return section.split("\n", 1)[0]


def seconds(value: float) -> str:
    """0.0123 -> "12 ms"."""
    if value < 0.001:
        return f"{value * 1e6:.0f} µs"
    if value < 1:
        return f"{value * 1000:.3g} ms" if value < 0.1 else f"{value * 1000:.0f} ms"
    return f"{value:.2f} s"


def ratio(value: float, base: float) -> str:
    return f"{value / base:.2f}" if base > 0 else "?"
