"""`estiba update`: other limits and another restart policy for containers that exist."""

from __future__ import annotations

from estiba.cli.each import for_each
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House

_FLAGS = (
    ("--blkio-weight", "relative weight of block devices, 10-1000", "NUMBER"),
    ("--cpu-period", "period of --cpu-quota, in microseconds", "NUMBER"),
    ("--cpu-quota", "CPU time in each period, in microseconds; -1 for no limit", "NUMBER"),
    ("--cpu-rt-period", "period of --cpu-rt-runtime, in microseconds", "NUMBER"),
    ("--cpu-rt-runtime", "realtime CPU time in each period, in microseconds", "NUMBER"),
    ("--cpus", "number of CPUs", "NUMBER"),
    ("--cpuset-cpus", "CPUs that may be used", "0-2,4"),
    ("--cpuset-mems", "memory nodes that may be used", "0,1"),
    ("--memory-reservation", "soft limit of memory", "SIZE"),
    ("--memory-swap", "limit of memory and swap; -1 is none", "SIZE"),
    ("--kernel-memory", "refused: Linux has it no more", "SIZE"),
    ("--pids-limit", "number of processes; -1 for no limit", "NUMBER"),
    ("--restart", "no, on-failure[:N], always, unless-stopped", "POLICY"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--cpu-shares", help="relative weight of CPU", metavar="NUMBER")
    parser.add_argument("-m", "--memory", help="limit of memory", metavar="SIZE")
    for name, help_text, metavar in _FLAGS:
        parser.add_argument(name, help=help_text, metavar=metavar)
    parser.add_argument("containers", nargs="+", metavar="CONTAINER")


def run(arguments: argparse.Namespace, house: House) -> int:
    from estiba.cli.limit_flags import asked_limits, blkio_weight
    from estiba.engine.restart_policy import RestartPolicy
    from estiba.engine.updating import Changes, update

    changes = Changes(
        limits=asked_limits(arguments),
        blkio_weight=blkio_weight(arguments),
        restart=RestartPolicy.parse(arguments.restart) if arguments.restart is not None else None,
    )

    def act(name: str) -> str:
        update(house.engine, name, changes)
        return name

    return for_each(arguments.containers, act)
