"""Interleaved runs, and what is made of them. Pure but for the clock and the CPU counter that are handed in."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Contender(NamedTuple):
    """One way to do a row's work. `before` makes ready for each run and is not measured.

    `run` may give the bytes of memory that it took at most.
    """

    name: str
    run: Callable[[], int | None]
    before: Callable[[], None] = lambda: None


class Row(NamedTuple):
    """One comparison: what is done, by whom, and who could not take part and why.

    `operations` is how often one run does the work (requests, files); times are told for a whole run, and as a rate
    where it is more than 1. The first contender is what the others are set against.
    """

    title: str
    note: str
    contenders: tuple[Contender, ...]
    missing: Mapping[str, str]
    operations: int = 1


class Sample(NamedTuple):
    """One run: wall and CPU time in seconds, daemons included; the most memory in bytes where that is measured."""

    wall: float
    cpu: float
    memory: int = 0


class Result(NamedTuple):
    """A contender's samples in a row."""

    name: str
    samples: tuple[Sample, ...]

    @property
    def wall(self) -> float:
        """The median."""
        return statistics.median(sample.wall for sample in self.samples)

    @property
    def fastest(self) -> float:
        return min(sample.wall for sample in self.samples)

    @property
    def cpu(self) -> float:
        """The median."""
        return statistics.median(sample.cpu for sample in self.samples)

    @property
    def memory(self) -> int:
        """The most of all runs."""
        return max(sample.memory for sample in self.samples)


def interleave(
    contenders: Sequence[Contender],
    *,
    runs: int,
    warm_ups: int,
    clock: Callable[[], float],
    cpu_clock: Callable[[], float],
) -> list[Result]:
    """Runs every contender `runs` times in turn, after `warm_ups` rounds that do not count.

    Each round starts with the next contender. So what the machine does meanwhile falls on all alike.
    """
    samples: dict[str, list[Sample]] = {contender.name: [] for contender in contenders}
    for turn in range(warm_ups + runs):
        first = turn % len(contenders)
        for contender in [*contenders[first:], *contenders[:first]]:
            contender.before()
            cpu, wall = cpu_clock(), clock()
            memory = contender.run() or 0
            sample = Sample(clock() - wall, cpu_clock() - cpu, memory)
            if turn >= warm_ups:
                samples[contender.name].append(sample)
    return [Result(name, tuple(taken)) for name, taken in samples.items()]
