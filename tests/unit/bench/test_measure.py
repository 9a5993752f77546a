"""The benchmarks' own arithmetic: turns, medians and the table."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from bench.machine import _own_group, group_clock
from bench.measure import Contender, Result, Row, Sample, interleave
from bench.table import page, seconds, section


def test_contenders_take_turns_and_warm_ups_do_not_count() -> None:
    order: list[str] = []
    times = iter(range(1000))
    contenders = [
        Contender("a", lambda: order.append("a"), before=lambda: order.append("before a")),
        Contender("b", lambda: order.append("b")),
    ]
    results = interleave(contenders, runs=2, warm_ups=1, clock=lambda: next(times), cpu_clock=lambda: 0)
    assert order == ["before a", "a", "b", "b", "before a", "a", "before a", "a", "b"]
    assert results == [Result("a", (Sample(1, 0), Sample(1, 0))), Result("b", (Sample(1, 0), Sample(1, 0)))]


def test_a_result_is_the_median_of_its_samples() -> None:
    result = Result("a", (Sample(3, 30), Sample(1, 10), Sample(2, 20)))
    assert (result.wall, result.fastest, result.cpu) == (2, 1, 20)


def test_a_section_sets_the_others_against_the_first_and_names_the_missing() -> None:
    row = Row("Start", "`true`.", (), {"Docker": "not installed"}, operations=10)
    results = [Result("Estiba", (Sample(0.05, 0.02),)), Result("Podman", (Sample(0.5, 0.2),))]
    assert section(row, results).splitlines() == [
        "## Start",
        "",
        "`true`.",
        "",
        "| | median | fastest | per second | CPU | wall, of Estiba | CPU, of Estiba |",
        "|---|--:|--:|--:|--:|--:|--:|",
        "| Estiba | 50 ms | 50 ms | 200 | 20 ms | 1.00 | 1.00 |",
        "| Podman | 500 ms | 500 ms | 20 | 200 ms | 10.00 | 10.00 |",
        "| Docker | not measured: not installed | | | | | |",
    ]


def test_memory_is_told_where_it_was_measured() -> None:
    row = Row("Memory", "Peaks.", (), {})
    results = [Result("Estiba", (Sample(1, 1, 30_000_000), Sample(1, 1, 50_000_000)))]
    assert section(row, results).splitlines()[4:] == [
        "| | median | fastest | peak memory | CPU | wall, of Estiba | CPU, of Estiba |",
        "|---|--:|--:|--:|--:|--:|--:|",
        "| Estiba | 1.00 s | 1.00 s | 50 MB | 1.00 s | 1.00 | 1.00 |",
    ]


def test_a_page_takes_new_sections_in_the_place_of_old_ones_and_keeps_the_others() -> None:
    old = page("A machine.", ["## One\n\nold\n", "## Two\n\nkept\n"])
    new = page("A machine.", ["## One\n\nnew\n", "## Three\n\nmore\n"], old=old)
    assert new == page("A machine.", ["## One\n\nnew\n", "## Two\n\nkept\n", "## Three\n\nmore\n"])


def test_a_section_that_was_measured_on_another_machine_says_so_until_it_is_measured_again() -> None:
    old = page("A machine.", ["## One\n\nold\n", "## Two\n\nkept\n"])
    new = page("B machine.", ["## One\n\nnew\n"], old=old)
    marked = "## Two\n\nMeasured on another machine: A machine.\n\nkept\n"
    assert new == page("B machine.", ["## One\n\nnew\n", marked])
    assert page("B machine.", [], old=new) == new
    back = page("A machine.", [], old=new)
    assert back == page(
        "A machine.", ["## One\n\nMeasured on another machine: B machine.\n\nnew\n", "## Two\n\nkept\n"]
    )
    assert page("B machine.", ["## Two\n\nagain\n"], old=new) == page(
        "B machine.", ["## One\n\nnew\n", "## Two\n\nagain\n"]
    )


def test_the_group_that_is_measured_is_made_below_ones_own() -> None:
    text = "4:cpu,cpuacct:/user/one\n3:memory:/\n0::/init.scope\n"
    assert _own_group(text, "cpuacct") == "/sys/fs/cgroup/cpuacct/user/one"
    assert _own_group(text, "memory") == "/sys/fs/cgroup/memory"
    assert _own_group(text, "") == "/sys/fs/cgroup/init.scope"
    assert _own_group("", "cpuacct") == "/sys/fs/cgroup/cpuacct"


@pytest.mark.root
def test_the_clock_of_a_group_counts_what_is_started_in_it_and_nothing_stays() -> None:
    before = Path("/proc/self/cgroup").read_text()
    with group_clock() as clock:
        start = clock()
        subprocess.run(["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"], check=True)
        assert clock() > start
    assert Path("/proc/self/cgroup").read_text() == before


def test_times_are_told_in_their_own_unit() -> None:
    assert [seconds(value) for value in (0.0000042, 0.0123, 0.25, 3.14159)] == ["4 µs", "12.3 ms", "250 ms", "3.14 s"]
