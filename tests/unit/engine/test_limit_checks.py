"""Limits are checked by Docker's rules, against each other and against the machine."""

from __future__ import annotations

import pytest

from estiba.engine.limit_checks import Processors, check_block_io, checked, parsed_set
from estiba.engine.options import BlockIo, Limits
from estiba.errors import InvalidInput

TWO = Processors(2, frozenset({0, 1}), frozenset({0}))


@pytest.mark.parametrize(
    "limits",
    [
        Limits(memory=1 << 20),
        Limits(memory=64 << 20, memory_swap=32 << 20),
        Limits(memory_swap=64 << 20),
        Limits(memory_reservation=1 << 20),
        Limits(memory=32 << 20, memory_reservation=64 << 20),
        Limits(swappiness=101),
        Limits(nano_cpus=1000 * 10**9),
        Limits(nano_cpus=2 * 10**9 + 1),
        Limits(nano_cpus=10**6),
        Limits(nano_cpus=10**9, cpu_period=1000),
        Limits(nano_cpus=10**9, cpu_quota=1000),
        Limits(cpu_period=999),
        Limits(cpu_period=1_000_001),
        Limits(cpu_quota=999),
        Limits(cpu_shares=-1),
        Limits(cpu_rt_period=1000, cpu_rt_runtime=1001),
        Limits(cpuset_cpus="2"),
        Limits(cpuset_cpus="0-1,x"),
        Limits(cpuset_cpus="1-0"),
        Limits(cpuset_mems="1"),
        Limits(pids=-2),
    ],
)
def test_what_cannot_be_kept_is_refused(limits):
    with pytest.raises(InvalidInput):
        checked(limits, TWO)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(memory=6 << 20, memory_swap=-1, memory_reservation=6 << 20, swappiness=0),
        Limits(nano_cpus=2 * 10**9, cpuset_cpus="0-1", cpuset_mems="0"),
        Limits(cpu_period=1000, cpu_quota=-1, cpu_rt_period=1000, cpu_rt_runtime=1000),
        Limits(pids=-1),
    ],
)
def test_what_can_be_kept_stays_as_it_is(limits):
    assert checked(limits, TWO) == limits


def test_shares_are_moved_into_the_kernels_range():
    assert checked(Limits(cpu_shares=1), TWO).cpu_shares == 2
    assert checked(Limits(cpu_shares=10**6), TWO).cpu_shares == 262144
    assert checked(Limits(), TWO).cpu_shares == 0


def test_a_list_of_processors_is_read_as_the_kernel_writes_it():
    assert parsed_set("0-2,4\n") == {0, 1, 2, 4}
    assert [parsed_set(text) for text in ("", "a", "1-", "3-1", "0-99999")] == [None] * 5


@pytest.mark.parametrize(
    "block_io", [BlockIo(weight=9), BlockIo(weight=1001), BlockIo(weight_devices=(("/dev/sda", 5),))]
)
def test_weights_of_block_devices_have_a_range(block_io):
    with pytest.raises(InvalidInput, match="10 to 1000"):
        check_block_io(block_io)
    check_block_io(BlockIo(weight=10, weight_devices=(("/dev/sda", 1000),)))
