"""Docker's flags for what a container may use → `Limits` and `BlockIo`. Loaded only where one of them is given."""

from __future__ import annotations

from estiba.cli.numbers import integer
from estiba.engine.limit_checks import Processors, check_block_io, checked
from estiba.engine.options import BlockIo, Limits, Ulimit
from estiba.engine.quantities import parse_cpus, parse_size
from estiba.errors import InvalidInput
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def limits(arguments: argparse.Namespace) -> Limits:
    """The limits. Whether this machine can keep them is seen when the container is made.

    Raises:
        InvalidInput: a value that is none, or two that contradict each other.
    """
    asked = asked_limits(arguments)._replace(
        shm_size=_size(arguments.shm_size, "shm size"),
        # The later one of two for the same limit counts.
        ulimits=tuple({limit.name: limit for limit in map(_ulimit, arguments.ulimit)}.values()),
        oom_score_adj=_number(arguments.oom_score_adj, "--oom-score-adj"),
        swappiness=_swappiness(arguments.memory_swappiness),
        oom_kill_disable=bool(arguments.oom_kill_disable),
    )
    return checked(asked, Processors(1 << 16))


def asked_limits(arguments: argparse.Namespace) -> Limits:
    """The limits that a container may be given later too, as they are written.

    Raises:
        InvalidInput: a value that is none.
    """
    if arguments.kernel_memory:
        raise InvalidInput(
            "--kernel-memory cannot be kept: Linux has taken this limit away",
            remedy="Use --memory, which counts it in.",
        )
    swap = arguments.memory_swap
    return Limits(
        memory=_size(arguments.memory, "memory"),
        memory_swap=-1 if swap == "-1" else _size(swap, "memory and swap"),
        memory_reservation=_size(arguments.memory_reservation, "memory reservation"),
        nano_cpus=parse_cpus(arguments.cpus) if arguments.cpus else 0,
        cpu_shares=integer(arguments.cpu_shares or "0", "--cpu-shares"),
        cpuset_cpus=arguments.cpuset_cpus or "",
        cpuset_mems=arguments.cpuset_mems or "",
        pids=_pids(arguments.pids_limit),
        cpu_period=integer(arguments.cpu_period or "0", "--cpu-period"),
        cpu_quota=integer(arguments.cpu_quota or "0", "--cpu-quota"),
        cpu_rt_period=integer(arguments.cpu_rt_period or "0", "--cpu-rt-period"),
        cpu_rt_runtime=integer(arguments.cpu_rt_runtime or "0", "--cpu-rt-runtime"),
    )


def blkio_weight(arguments: argparse.Namespace) -> int:
    """The weight of ``--blkio-weight``, 0 for none.

    Raises:
        InvalidInput: it is no number.
    """
    return integer(arguments.blkio_weight or "0", "--blkio-weight")


def block_io(arguments: argparse.Namespace) -> BlockIo:
    """What may be done with block devices.

    Raises:
        InvalidInput: a value that is none.
    """
    found = BlockIo(
        weight=blkio_weight(arguments),
        weight_devices=_entries(arguments.blkio_weight_device, "--blkio-weight-device"),
        read_bps=_entries(arguments.device_read_bps, "--device-read-bps", is_size=True),
        write_bps=_entries(arguments.device_write_bps, "--device-write-bps", is_size=True),
        read_iops=_entries(arguments.device_read_iops, "--device-read-iops"),
        write_iops=_entries(arguments.device_write_iops, "--device-write-iops"),
    )
    check_block_io(found)
    return found


def _entries(texts: list[str], flag: str, *, is_size: bool = False) -> tuple[tuple[str, int], ...]:
    found = []
    for text in texts:
        path, colon, number = text.rpartition(":")
        if not colon:
            raise InvalidInput(
                f"invalid value {text!r} for {flag}", remedy="Write a device and a number: /dev/sda:NUMBER."
            )
        value = parse_size(number, what=f"rate in {text}") if is_size else integer(number, flag)
        found.append((path, value))
    return tuple(found)


def _size(text: str | None, what: str) -> int:
    return parse_size(text, what=what) if text else 0


def _pids(text: str | None) -> int:
    """As in Docker, 0 and -1 ask for no limit; the value knows that as -1."""
    return (integer(text, "--pids-limit") or -1) if text else 0


def _number(text: str | None, flag: str) -> int | None:
    return None if text is None else integer(text, flag)


def _swappiness(text: str | None) -> int | None:
    """As in Docker, -1 is the kernel's own."""
    value = None if text is None else integer(text, "--memory-swappiness")
    return None if value == -1 else value


def _ulimit(text: str) -> Ulimit:
    name, equals, values = text.partition("=")
    soft, _, hard = values.partition(":")
    if not equals:
        raise InvalidInput(f"invalid limit {text!r}", remedy="Write NAME=SOFT[:HARD].")
    return Ulimit(name, _bound(soft), _bound(hard or soft))


def _bound(text: str) -> int:
    return -1 if text == "unlimited" else integer(text, "--ulimit")
